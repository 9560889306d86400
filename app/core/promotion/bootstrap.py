"""Differences of two models' figures, with the intervals of a paired bootstrap by group.

Groups are drawn with replacement, both models' answers to them together (Efron & Tibshirani 1993).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean, pstdev

from app.core.promotion.pairs import Pair, labels_of, loss

DRAWS = 1000
_LEAST_DRAWS = 200
_MOST_STEPS = 2_000_000
"""Draws times examples: beyond, fewer draws are taken."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Candidate minus incumbent, with its 95% interval and its standard error."""

    value: float
    low: float
    high: float
    error: float

    def told(self) -> dict[str, float]:
        """As evidence shows it."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(slots=True)
class _Unit:
    """One group: by class, how many examples and what the candidate gains; and the lost nats."""

    size: int = 0
    losses: float = 0.0
    classes: Counter[str] | None = None
    gains: Counter[str] | None = None


def balanced_accuracy(pairs: Sequence[Pair], *, seed: int, draws: int = DRAWS) -> Difference:
    """Of the mean recall over the classes that are there."""
    units = _units(pairs)
    return interval(_gain(units), [_gain(drawn) for drawn in _draws(units, seed, draws)])


def log_loss(pairs: Sequence[Pair], *, seed: int, draws: int = DRAWS) -> Difference:
    """Of the mean loss in nats; below zero the candidate is better."""
    units = _units(pairs)
    return interval(_loss(units), [_loss(drawn) for drawn in _draws(units, seed, draws)])


def _units(pairs: Sequence[Pair]) -> list[_Unit]:
    units: dict[str, _Unit] = defaultdict(lambda: _Unit(classes=Counter(), gains=Counter()))
    for pair in pairs:
        unit = units[pair.group]
        assert unit.classes is not None
        assert unit.gains is not None
        assert pair.incumbent is not None
        unit.size += 1
        unit.losses += loss(pair.candidate) - loss(pair.incumbent)
        (label,) = labels_of(pair.label)
        unit.classes[label] += 1
        if pair.gain:
            unit.gains[label] += pair.gain
    return list(units.values())


def _draws(units: Sequence[_Unit], seed: int, draws: int) -> list[list[_Unit]]:
    random, most = Random(seed), max(_LEAST_DRAWS, _MOST_STEPS // max(1, len(units)))
    return [random.choices(units, k=len(units)) for _ in range(min(draws, most))]


def _gain(units: Sequence[_Unit]) -> float:
    sizes: dict[str, int] = defaultdict(int)
    gains: dict[str, int] = defaultdict(int)
    for unit in units:
        for label, number in (unit.classes or {}).items():
            sizes[label] += number
        for label, number in (unit.gains or {}).items():
            gains[label] += number
    return fmean(gains[label] / size for label, size in sizes.items()) if sizes else 0.0


def _loss(units: Sequence[_Unit]) -> float:
    size = sum(unit.size for unit in units)
    return math.fsum(unit.losses for unit in units) / size if size else 0.0


def interval(value: float, drawn: list[float]) -> Difference:
    """The 95% of what was drawn, and its standard error."""
    if not drawn:
        return Difference(value, value, value, 0.0)
    drawn.sort()
    cut = int(0.025 * len(drawn))
    return Difference(value, drawn[cut], drawn[-1 - cut], pstdev(drawn))


def recalls(pairs: Sequence[Pair]) -> dict[str, tuple[int, int, int]]:
    """By class: how many examples, how many the candidate has right, how many the incumbent."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for pair in pairs:
        for label in labels_of(pair.label):
            row = counts[label]
            row[0] += 1
            row[1] += label in labels_of(pair.candidate.label)
            row[2] += pair.incumbent is not None and label in labels_of(pair.incumbent.label)
    return {label: (row[0], row[1], row[2]) for label, row in sorted(counts.items())}
