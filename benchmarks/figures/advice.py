"""How often advice comes true: `python -m benchmarks.figures.advice`, some minutes."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

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
Row = tuple[float, Mapping[str, Any]]
"""What was gained, and what `more_of_all` had said of it."""


def main() -> None:
    """Measure and write the figure."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    rows: dict[int, list[Row]] = defaultdict(list)
    for name in SETS:
        for seed in SEEDS:
            _grown(name, seed, rows)
    record(
        "advice",
        figure="as many examples again of every class: how often the gain of test accuracy lies "
        "within the stated ±, and in the stated 95% interval; points",
        method=f"sets {', '.join(SETS)}, {len(SEEDS)} nested draws, views squish and mirror; the "
        "constant was chosen on other draws of these sets",
        results={str(shots): _table(found) for shots, found in rows.items()},
    )


def _table(found: Sequence[Row]) -> dict[str, float]:
    return {
        "draws": len(found),
        "within the stated": _percent(abs(g - t["gain"]) <= t["plus_minus"] for g, t in found),
        "in the stated 95% interval": _percent(t["low"] <= g <= t["high"] for g, t in found),
        "gain": _points(gain for gain, _ in found),
        "stated": _points(told["gain"] for _, told in found),
        "plus_minus": _points(told["plus_minus"] for _, told in found),
        "width of the 95% interval": _points(told["high"] - told["low"] for _, told in found),
    }


def _percent(flags: Iterable[bool]) -> float:
    return round(100 * fmean(flags), 1)


def _points(shares: Iterable[float]) -> float:
    return round(100 * fmean(shares), 2)


def _grown(name: str, seed: int, rows: dict[int, list[Row]]) -> None:
    """Fits on ever more of one draw."""
    train, before = pictures.train(name), None
    for shots in SHOTS:
        fit = fitted(train.support(_first(train.labels, shots, seed)))
        right = _right(fit, name)
        if before is not None:
            rows[shots // 2].append((right - before[1], before[0].advice["more_of_all"]))
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
