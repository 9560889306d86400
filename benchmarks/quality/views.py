"""What further views of the examples do, where a mirror makes other things of them and elsewhere.

`python -m benchmarks.quality.views`: about fifteen minutes of two cores, most of them spent on the
embeddings, which are kept under data/benchmarks.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from multiprocessing import get_context
from statistics import mean
from typing import Any

import torch

from benchmarks.quality import handed_sets, image_sets
from benchmarks.quality.cells import COLD, LAYOUT, balanced_accuracy, fitted
from benchmarks.quality.draws import draw
from benchmarks.quality.image_sets import VIEWS, ImageSet
from benchmarks.record import record
from worker.ml.artifact import Fit
from worker.ml.heads import scoring
from worker.ml.tasks import Support

UNHANDED = ("bccd_cells", "clothing", "grocery", "omniglot", "sign_digits")
NEVER = tuple(view for view in VIEWS if view != "mirror")
Row = dict[str, Any]


def main() -> None:
    """Measure every draw, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = parser.parse_args().seeds
    wanted = [(name, shots, s) for name, shots in _sizes() for s in range(seeds)]
    with get_context("spawn").Pool(2, torch.set_num_threads, (1,)) as pool:
        rows = [row for row in pool.imap(_measured, wanted, chunksize=seeds) if row]
    record(
        "views",
        figure="accuracy with and without further views of the examples, by `auto`",
        method=f"{seeds} draws, {image_sets.BACKBONE}, balanced test accuracy in percent; cold: "
        "only squish, as in a job right after its upload; always: every view that idle time makes, "
        "asked for by name; never: those without mirror images; chosen: every view, and the fit "
        "decides; handed: scanned digits, and letters, arrows, sides and flaws on strips drawn for "
        "it; held: the share of stated 95% intervals that hold the test accuracy",
        results=_tables(rows),
    )


def _sizes() -> Iterator[tuple[str, int]]:
    for name in (*handed_sets.SETS, *UNHANDED):
        yield from ((name, shots) for shots in _loaded(name).shots)


@cache
def _loaded(name: str) -> ImageSet:
    if name in handed_sets.SETS:
        return handed_sets.load(name)
    return image_sets.load(name, judged_by=COLD)


def _measured(wanted: tuple[str, int, int]) -> Row | None:
    """One draw; None where it would be the same as the first."""
    name, shots, seed = wanted
    one = _loaded(name)
    if seed and shots == int(torch.bincount(one.train.labels).min()):
        return None
    rows = draw(one.train.labels, shots, seed)

    def support(views: tuple[str, ...]) -> Support:
        return one.train.support(rows, views)

    found = {
        "cold": _judged(one, fitted(support(COLD))),
        "always": _judged(one, fitted(support(VIEWS), views=list(VIEWS))),
        "never": _judged(one, fitted(support(NEVER))),
        "chosen": _judged(one, fitted(support(VIEWS))),
    }
    return {"name": name, "shots": shots, **found}


def _judged(one: ImageSet, made: Fit) -> Row:
    p = scoring.probabilities(made.head, one.test.features, layout=LAYOUT)
    accuracy, said = balanced_accuracy(p, one.test.labels), made.evaluation["accuracy"]
    learned = made.evaluation.get("mirror_images", {}).get("learned_from", True)
    low, high = (None, None) if said is None else (said["low"], said["high"])
    held = low is None or high is None or low <= accuracy <= high
    return {"accuracy": accuracy, "learned": learned, "held": held}


def _tables(rows: Sequence[Row]) -> Mapping[str, Any]:
    cells: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row["name"] in UNHANDED, row["name"], row["shots"])):
        cells[row["name"], row["shots"]].append(row)
    made = {key: _cell(own) for key, own in cells.items()}
    return {
        "mean": {
            "handed": _means([cell for (name, _), cell in made.items() if name not in UNHANDED]),
            "unhanded": _means([cell for (name, _), cell in made.items() if name in UNHANDED]),
        },
        "by_set": {f"{name} {shots}": cell for (name, shots), cell in made.items()},
    }


def _cell(own: Sequence[Row]) -> dict[str, float]:
    told = {m: round(100 * mean(row[m]["accuracy"] for row in own), 2) for m in MODES}
    learned = round(mean(row["chosen"]["learned"] for row in own), 2)
    held = {f"held_{m}": round(mean(row[m]["held"] for row in own), 2) for m in MODES[1::2]}
    return {**told, "mirrors_learned_from": learned, **held, "draws": len(own)}


def _means(own: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {m: round(mean(cell[m] for cell in own), 2) for m in MODES}


MODES = ("cold", "always", "never", "chosen")

if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"{time.monotonic() - started:.0f} s")
