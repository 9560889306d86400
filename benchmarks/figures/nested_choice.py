"""What is stated of few texts, with and without choosing once more what judges a fold.

`python -m benchmarks.figures.nested_choice`, some minutes of two cores.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import torch

from benchmarks.figures import text_intervals
from benchmarks.figures.intervals import first_of_each
from benchmarks.quality.text import balanced_accuracy
from benchmarks.record import record
from worker.ml.artifact import Fit
from worker.ml.methods import finish, text
from worker.ml.methods.setting import Setting

SEEDS = {"naijasenti_hau": range(2000, 2020), "naijasenti_ibo": range(2000, 2060)}
SHOTS = (2, 5, 10, 20)
MOST_TESTED = 700
Row = dict[str, Any]


def main() -> None:
    """Measure and write the figure."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with ProcessPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        kinds = [(name, seed) for name, seeds in SEEDS.items() for seed in seeds]
        rows = [row for some in pool.map(_drawn, *zip(*kinds, strict=True)) for row in some]
    write(rows)


def write(rows: Sequence[Row]) -> None:
    """Record the figure of these draws."""
    record(
        "nested_choice",
        figure="accuracy stated of few texts where the mix and the use of label names that judge a "
        "fold are chosen without it, and where all folds choose them; points and percent",
        method=f"sets {', '.join(SEEDS)}, train and test together, nested draws, "
        f"`auto` on {' and '.join(text_intervals.ENCODERS)}; judged by {MOST_TESTED} of the rest. "
        "Both are of the same head. Of the share that was right out of fold, nested less plain "
        "with one standard error",
        results={name: _by_shots([row for row in rows if row["set"] == name]) for name in SEEDS},
    )


def _by_shots(rows: Sequence[Row]) -> dict[str, Any]:
    by: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        by[row["shots"]].append(row)
    return {str(shots): _table(by[shots]) for shots in sorted(by)}


def _table(rows: Sequence[Row]) -> dict[str, Any]:
    moved = [100 * (row["nested"]["value"] - row["plain"]["value"]) for row in rows]
    return {
        "draws": len(rows),
        "nested less plain": [round(fmean(moved), 2), round(stdev(moved) / len(moved) ** 0.5, 2)],
        **{kind: _told([(row["true"], row[kind]) for row in rows]) for kind in ("plain", "nested")},
    }


def _told(pairs: Sequence[tuple[float, Row]]) -> dict[str, float]:
    off = [stated["expected"] - true for true, stated in pairs]
    return {
        "expected less true": round(100 * fmean(off), 1),
        "root of the mean square": round(100 * fmean(one**2 for one in off) ** 0.5, 1),
        "held": round(100 * fmean(said["low"] <= true <= said["high"] for true, said in pairs), 1),
    }


def _drawn(name: str, seed: int) -> list[Row]:
    return list(_rows(name, seed))


def _rows(name: str, seed: int) -> Iterator[Row]:
    whole = text_intervals.whole(name)
    order = torch.randperm(len(whole.labels), generator=torch.Generator().manual_seed(seed))
    for shots in SHOTS:
        chosen = first_of_each(whole.labels, order, shots)
        if len(chosen) < shots * len(whole.classes):
            return
        rest = order[~torch.isin(order, chosen)][:MOST_TESTED]
        plain, nested = _both(text_intervals.task(whole, chosen, text_intervals.loaded(name).names))
        test = text_intervals.taken(whole, rest)
        true = balanced_accuracy(text_intervals.scores(nested, test), test.labels) / 100
        stated = {"plain": plain.evaluation["accuracy"], "nested": nested.evaluation["accuracy"]}
        yield {"set": name, "shots": shots, "true": true, **stated}


def _both(task: Any) -> tuple[Fit, Fit]:
    """One fit, and what is said of it."""
    setting = Setting.of(task)
    fitted = text.fit(setting)
    return finish.finish(setting, replace(fitted, nested=None)), finish.finish(setting, fitted)


if __name__ == "__main__":
    main()
