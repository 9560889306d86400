"""What is said of sets with augmented copies: `python -m benchmarks.figures.augmented`, minutes."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from benchmarks.figures import pictures
from benchmarks.figures.pictures import Pictures
from benchmarks.quality.cells import LAYOUT, balanced_accuracy, fitted
from benchmarks.quality.draws import draw
from benchmarks.record import record
from worker.ml.heads import scoring
from worker.ml.tasks import Support

SETS = ("clothing",)
SHOTS = (5, 10, 20)
SEEDS = 6
POOL, ASKED = 90, 60
"""Pictures a class that are drawn from, and that the true accuracy is of."""


def main() -> None:
    """Measure and write the figure."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    for name in SETS:
        train, test = (
            pictures.some(name, "train", None, POOL),
            pictures.some(name, "test", None, ASKED),
        )
        for shots in SHOTS:
            for seed in range(SEEDS):
                rows = draw(train.labels, shots, seed)
                for kind, support in _supports(name, rows).items():
                    found[f"{name}, {shots} a class, {kind}"].append(_said(support, test))
    record(
        "copies",
        figure="the accuracy that is stated of sets with augmented copies, and the true one",
        method=f"each picture of a draw also {', '.join(pictures.ALTERED)}, in one group with its "
        f"copies; {SEEDS} draws of {POOL} pictures a class, view squish, method auto; stated: "
        "balanced accuracy out of fold, expected and its 95% interval; true: of "
        f"{ASKED} a class of the test split, as they were taken; points; held: draws in whose "
        "interval the true one lies. Copies judged is how it was "
        "before copies were left out of what is judged",
        results={kind: _table(rows) for kind, rows in found.items()},
    )


def _supports(name: str, rows: Tensor) -> dict[str, Support]:
    parts = [pictures.some(name, "train", how, POOL) for how in (None, *pictures.ALTERED)]
    copies = _beside([part.take(rows) for part in parts])
    augmented = torch.arange(len(copies)) >= len(rows)
    return {
        "originals alone": parts[0].support(rows),
        "copies judged": copies,
        "copies not judged": replace(copies, augmented=augmented),
    }


def _beside(parts: list[Pictures]) -> Support:
    """All of them, a picture and its copies in one group."""
    count, first = len(parts[0]), parts[0]
    features = {view: torch.cat([part.features[view] for part in parts]) for view in first.features}
    every = Pictures(
        features,
        first.labels.repeat(len(parts)),
        torch.arange(count).repeat(len(parts)),
        first.classes,
    )
    return every.support(torch.arange(len(every)), grouped=True)


def _said(support: Support, test: Pictures) -> Mapping[str, float]:
    fit = fitted(support)
    probabilities = scoring.probabilities(fit.head, test.features, layout=LAYOUT)
    true, said = balanced_accuracy(probabilities, test.labels), fit.evaluation["balanced_accuracy"]
    return {
        "stated": said["value"],
        "expected": said["expected"],
        "low": said["low"],
        "high": said["high"],
        "true": true,
        "held": float(said["low"] <= true <= said["high"]),
        "judged": fit.evaluation["how"]["num_examples"],
    }


def _table(rows: list[Mapping[str, float]]) -> dict[str, Any]:
    told = {
        name: round(100 * fmean(row[name] for row in rows), 1)
        for name in ("stated", "expected", "low", "high", "true")
    }
    away = fmean(abs(row["expected"] - row["true"]) for row in rows)
    return told | {
        "expected is off by": round(100 * away, 1),
        "held": int(sum(row["held"] for row in rows)),
        "draws": len(rows),
        "examples judged": int(rows[0]["judged"]),
    }


if __name__ == "__main__":
    main()
