"""How often advice comes true: `python -m benchmarks.figures.advice`, some minutes."""

from __future__ import annotations

import argparse
from collections import defaultdict
from statistics import fmean

import torch
from torch import Tensor

from benchmarks.figures import pictures
from benchmarks.quality.cells import LAYOUT, fitted
from benchmarks.record import record
from worker.ml.artifact import Fit
from worker.ml.heads import scoring

SETS = ("bccd_cells", "clothing", "sign_digits")
SHOTS = (5, 10, 20)
SEEDS = range(100, 114)


def main() -> None:
    """Measure and write the figure."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    rows: dict[int, list[tuple[float, float, float]]] = defaultdict(list)
    for name in SETS:
        for seed in SEEDS:
            _grown(name, seed, rows)
    record(
        "advice",
        figure="as many examples again of every class: how often the gain of test accuracy lies "
        "within what is stated, and within 1.96 times that; points",
        method=f"sets {', '.join(SETS)}, {len(SEEDS)} nested draws, views squish and mirror; the "
        "constant was chosen on other draws of these sets",
        results={str(shots): _table(found) for shots, found in rows.items()},
    )


def _table(found: list[tuple[float, float, float]]) -> dict[str, float]:
    """Of (gain, stated gain, its ±)."""
    misses = [(abs(gain - stated), within) for gain, stated, within in found]
    return {
        "draws": len(found),
        "within the stated": round(100 * fmean(m <= w for m, w in misses), 1),
        "within 1.96 times": round(100 * fmean(m <= 1.96 * w for m, w in misses), 1),
        "gain": round(100 * fmean(gain for gain, _, _ in found), 2),
        "stated": round(100 * fmean(stated for _, stated, _ in found), 2),
        "plus_minus": round(100 * fmean(within for _, _, within in found), 2),
    }


def _grown(name: str, seed: int, rows: dict[int, list[tuple[float, float, float]]]) -> None:
    """Fits on ever more of one draw."""
    train, before = pictures.train(name), None
    for shots in SHOTS:
        fit = fitted(train.support(_first(train.labels, shots, seed)))
        right = _right(fit, name)
        if before is not None:
            told = before[0].advice["more_of_all"]
            rows[shots // 2].append((right - before[1], told["gain"], told["plus_minus"]))
        before = fit, right


def _first(labels: Tensor, shots: int, seed: int) -> Tensor:
    """The first `shots` of each class in the seed's order."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    return torch.cat([order[labels[order] == c][:shots] for c in range(int(labels.max()) + 1)])


def _right(fit: Fit, name: str) -> float:
    test = pictures.unseen(name, None)
    p = scoring.probabilities(fit.head, test.features, layout=LAYOUT)
    return float((p.argmax(1) == test.labels).double().mean())


if __name__ == "__main__":
    main()
