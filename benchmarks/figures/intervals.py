"""How often stated accuracies and forecasts hold, at home and elsewhere.

`python -m benchmarks.figures.intervals`, some minutes of two cores.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from benchmarks.figures import pictures
from benchmarks.figures.pictures import Pictures
from benchmarks.quality.cells import LAYOUT, fitted
from benchmarks.record import record, shared_data
from worker.ml.artifact import HeadArtifact
from worker.ml.heads import scoring

SHOTS = (2, 5, 10, 20, 40)
SEEDS = range(500, 510)
LEAST_LEFT = 4
"""Examples of each class that must be left to test on."""
Row = Mapping[str, Any]


def main() -> None:
    """Measure and write the figure."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with ProcessPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        kinds = [(name, seed) for name in pictures.SETS for seed in SEEDS]
        rows = [row for some in pool.map(_drawn, *zip(*kinds, strict=True)) for row in some]
    record(
        "intervals",
        figure="how often test accuracy lies in the stated 95% intervals, at home and of new "
        "sources, and gains in what is forecast; percent and points",
        method=f"sets {', '.join(pictures.SETS)}, {len(SEEDS)} nested draws each, views squish and "
        "mirror. No shift: examples from train and test together, judged by the rest. Shifts: the "
        "rest's test pictures darker, blurred, coarse or nearer; grocery's test (other shops and "
        "days) by examples of its train; a third of the groups (pupils, runs of photographs) held "
        "out. The constants were chosen on 30 other draws of the same sets",
        results={
            "no shift": told_by_shots(_of(rows, "no shift")),
            "new sources": told_by_shots([row for row in rows if row["kind"] != "no shift"]),
            "new sources, by kind": {kind: told_by_shots(_of(rows, kind)) for kind in _kinds(rows)},
            "as many again": _by_shots([row for row in rows if "gain" in row], _gained),
            "forecasts": _by_shots([row for row in rows if row.get("forecast")], _forecast),
        },
    )


def _kinds(rows: Iterable[Row]) -> list[str]:
    return sorted({str(row["kind"]) for row in rows} - {"no shift"})


def _of(rows: Iterable[Row], kind: str) -> list[Row]:
    return [row for row in rows if row["kind"] == kind]


def _by_shots(rows: Sequence[Row], told: Any) -> dict[str, Any]:
    by: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        by[row["shots"]].append(row)
    return {str(shots): told(by[shots]) for shots in sorted(by)}


def told_by_shots(rows: Sequence[Row]) -> dict[str, Any]:
    """By number of examples: how often the true accuracy was inside, and how wide that is."""
    return _by_shots(rows, _held)


def _held(rows: Sequence[Row]) -> dict[str, float]:
    figures = [(row["true"], row["stated"]) for row in rows]
    return {
        "draws": len(rows),
        "held": _percent(s["low"] <= t <= s["high"] for t, s in figures),
        "width": round(fmean(s["high"] - s["low"] for _, s in figures), 3),
        "stated less true": round(100 * fmean(s["point"] - t for t, s in figures), 1),
        "missed by the plain interval": _percent(
            not row["plain"]["low"] <= row["true"] <= row["plain"]["high"] for row in rows
        ),
    }


def _gained(rows: Sequence[Row]) -> dict[str, float]:
    pairs = [(row["gain"], row["more"]) for row in rows]
    return {
        "draws": len(rows),
        "within the stated": _percent(abs(g - m["gain"]) <= m["plus_minus"] for g, m in pairs),
        "within 95%": _percent(m["low"] <= g <= m["high"] for g, m in pairs),
        "gain": round(100 * fmean(g for g, _ in pairs), 2),
        "stated": round(100 * fmean(m["gain"] for _, m in pairs), 2),
        "plus_minus": round(100 * fmean(m["plus_minus"] for _, m in pairs), 2),
    }


def _forecast(rows: Sequence[Row]) -> dict[str, float]:
    pairs = [pair for row in rows for pair in row["forecast"]]
    return {
        "forecasts": len(pairs),
        "held": _percent(f["low"] <= t <= f["high"] for t, f in pairs),
        "width": round(fmean(f["high"] - f["low"] for _, f in pairs), 3),
        "stated less true": round(100 * fmean(f["accuracy"] - t for t, f in pairs), 1),
    }


def _percent(flags: Iterable[bool]) -> float:
    return round(100 * fmean(flags), 1)


def _drawn(name: str, seed: int) -> list[dict[str, Any]]:
    rows = _at_home(name, seed)
    if name in pictures.ELSEWHERE:
        train = pictures.train(name)
        rows += _elsewhere(train, pictures.unseen(name, None), seed, "other shops")
    if (shared_data() / name / "groups.json").exists():
        whole, random = pictures.whole(name), torch.Generator().manual_seed(seed)
        groups = whole.groups.unique()
        some = groups[torch.randperm(len(groups), generator=random)][: max(2, len(groups) // 3)]
        held = torch.isin(whole.groups, some)
        parts = [whole.take(torch.nonzero(mask)[:, 0]) for mask in (~held, held)]
        rows += _elsewhere(parts[0], parts[1], seed, "other groups")
    return rows


def _at_home(name: str, seed: int) -> list[dict[str, Any]]:
    """Fits on ever more of one order, judged by what is left, as it is and drifted."""
    whole, first = pictures.whole(name), len(pictures.train(name))
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(seed))
    rows: list[dict[str, Any]] = []
    before: dict[int, dict[str, Any]] = {}
    for shots in SHOTS:
        chosen = first_of_each(whole.labels, order, shots)
        rest = torch.ones(len(whole), dtype=torch.bool)
        rest[chosen] = False
        left = torch.bincount(whole.labels[rest], minlength=len(whole.classes))
        if len(chosen) < shots * len(whole.classes) or int(left.min()) < LEAST_LEFT:
            break
        fit = fitted(whole.support(chosen))
        right = _right(fit.head, whole.take(torch.nonzero(rest)[:, 0]))
        row = _row(fit, shots, right, "no shift")
        for smaller, other in before.items():
            if 2 * smaller == shots:
                other |= {"gain": right - other["true"], "more": other["advice"]["more_of_all"]}
            curve = other["advice"]["learning_curve"]["forecast"]
            of = [(right, one) for one in curve if round(one["per_class"]) == shots]
            other["forecast"] = [*other.get("forecast", []), *of]
        before[shots] = row
        kept = torch.nonzero(rest[first:])[:, 0]
        shifted = {d: pictures.unseen(name, d).take(kept) for d in pictures.DRIFTS}
        rows += [row, *(_row(fit, shots, _right(fit.head, x), d) for d, x in shifted.items())]
    return rows


def _elsewhere(own: Pictures, other: Pictures, seed: int, kind: str) -> list[dict[str, Any]]:
    order = torch.randperm(len(own), generator=torch.Generator().manual_seed(seed))
    rows = []
    for shots in SHOTS:
        chosen = first_of_each(own.labels, order, shots)
        if len(chosen) < 0.9 * shots * len(own.classes):
            break
        fit = fitted(own.support(chosen))
        rows.append(_row(fit, shots, _right(fit.head, other), kind))
    return rows


def _row(fit: Any, shots: int, right: float, kind: str) -> dict[str, Any]:
    said = fit.evaluation
    plain = said["accuracy"] | {"point": said["accuracy"]["expected"]}
    there = said["new_sources"]["accuracy"]
    stated = plain if kind == "no shift" else there | {"point": there["value"]}
    return {
        "kind": kind, "shots": shots, "true": right, "plain": plain, "stated": stated,
        "advice": fit.advice,
    }  # fmt: skip


def first_of_each(labels: Tensor, order: Tensor, shots: int) -> Tensor:
    """The first `shots` of each class in this order."""
    return torch.cat([order[labels[order] == c][:shots] for c in range(int(labels.max()) + 1)])


def _right(head: HeadArtifact, test: Pictures) -> float:
    """Balanced, as the examples are."""
    p = scoring.probabilities(head, {"squish": test.features["squish"]}, layout=LAYOUT)
    hits = (p.argmax(1) == test.labels).double()
    return float(torch.stack([hits[test.labels == c].mean() for c in test.labels.unique()]).mean())


if __name__ == "__main__":
    main()
