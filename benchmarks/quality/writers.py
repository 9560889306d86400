"""Whether intervals of scanned digits hold where other writers judge, and where any do.

`python -m benchmarks.quality.writers`, some minutes.

The scans come writer by writer: the first of each digit are of a few hands, the rest of others.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import torch

from benchmarks.figures.intervals import first_of_each
from benchmarks.quality import handed_sets
from benchmarks.quality.cells import COLD, LAYOUT, balanced_accuracy, fitted
from benchmarks.quality.image_sets import Part
from benchmarks.record import record
from worker.ml.heads import scoring

SHOTS = (5, 10, 20)
SEEDS = range(900, 910)
Row = dict[str, Any]


def main() -> None:
    """Measure and write the figure."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    first, rest = (handed_sets.part("digits", split, COLD) for split in ("train", "test"))
    every = _joined(first, rest)
    rows: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for seed in SEEDS:
        for shots in SHOTS:
            chosen = _drawn(first, seed, shots)
            rows["other writers", shots].append(_judged(first, chosen, rest))
            chosen = _drawn(every, seed, shots)
            rows["any writer", shots].append(_judged(every, chosen, _without(every, chosen)))
    record(
        "writers",
        figure="how often test accuracy of scanned digits lies in the stated 95% intervals; "
        "percent and points",
        method=f"{len(SEEDS)} nested draws, view squish. Other writers: of the first "
        f"{handed_sets.SCANNED} scans of each digit, judged by the rest; any writer: of all scans, "
        "judged by the rest",
        results={
            kind: {str(shots): _table(rows[kind, shots]) for shots in SHOTS}
            for kind in ("other writers", "any writer")
        },
    )


def _drawn(part: Part, seed: int, shots: int) -> torch.Tensor:
    order = torch.randperm(len(part.labels), generator=torch.Generator().manual_seed(seed))
    return first_of_each(part.labels, order, shots)


def _joined(first: Part, second: Part) -> Part:
    features = {view: torch.cat([x, second.features[view]]) for view, x in first.features.items()}
    return Part(features, torch.cat([first.labels, second.labels]), first.classes)


def _without(part: Part, chosen: torch.Tensor) -> Part:
    left = torch.ones(len(part.labels), dtype=torch.bool)
    left[chosen] = False
    return Part(
        {view: x[left] for view, x in part.features.items()}, part.labels[left], part.classes
    )


def _judged(part: Part, chosen: torch.Tensor, test: Part) -> Row:
    made = fitted(part.support(chosen, COLD))
    answers = scoring.probabilities(made.head, test.features, layout=LAYOUT)
    said = made.evaluation
    there = said["new_sources"]["accuracy"]
    return {
        "true": balanced_accuracy(answers, test.labels),
        "plain": said["accuracy"],
        "new": there,
    }


def _table(rows: Sequence[Row]) -> dict[str, float]:
    def held(kind: str) -> float:
        inside = [row[kind]["low"] <= row["true"] <= row[kind]["high"] for row in rows]
        return round(100 * fmean(inside), 1)

    return {
        "draws": len(rows),
        "held": held("plain"),
        "expected less true": round(
            100 * fmean(row["plain"]["expected"] - row["true"] for row in rows), 1
        ),
        "new_sources held": held("new"),
    }


if __name__ == "__main__":
    main()
