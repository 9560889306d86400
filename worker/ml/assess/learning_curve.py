"""The learning curve: accuracy at fewer examples a class, measured, and at more, forecast.

Errors follow a power law, error(m) = a·m^-b (Cortes et al. 1993; Hestness et al. 2017). Few points
with few errors say little of b, so it is held back by what b is elsewhere. Beyond today's examples
errors fall from what the model is expected to have, and faster while a class has few (`steps`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from app.core.class_figures import wilson
from worker.ml.assess import intervals
from worker.ml.assess.intervals import GROWTH, Growth, Z
from worker.ml.folds import Folds
from worker.ml.solvers import ridge

EXPONENT_SPREAD = 0.15
"""How far b is from its modality's over data sets and heads, as a standard deviation (measured)."""

FORECAST = (1.5, 2.0, 4.0)
"""Multiples of today's examples a class that are forecast."""

RIDGE_L2 = 0.1

MOST_TRAINED = 600
"""Sizes at which a refit would take more examples than this are not measured."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """`accuracy` on `judged` held-out examples of fits with `per_class` examples a class."""

    per_class: float
    accuracy: float
    judged: int


@dataclass(frozen=True, kw_only=True)
class Law:
    """error(m) = level·(m/reference)^-exponent, faster where `reference` is small.

    Spreads are of ln level and of the exponent.
    """

    level: float
    reference: float
    exponent: float
    level_spread: float
    exponent_spread: float
    growth: Growth = GROWTH["image"]

    def error(self, per_class: float) -> float:
        """The expected share of errors, at most 1."""
        more = self.growth.steps(self.reference, self.reference / per_class)
        return min(1.0, self.level * math.exp(-self.exponent * more))

    def fall(self, before: float, after: float) -> tuple[float, float]:
        """Share of the errors that disappears from `before` to `after` examples, and its spread."""
        ratio = self.growth.steps(before, before / after)
        left = math.exp(-self.exponent * ratio)
        return 1 - left, left * ratio * self.exponent_spread


def sizes(labels: Tensor, fold: Tensor) -> list[int]:
    """Examples a class to refit with: 1, 2, 4, … below what a fold's fit has in most classes."""
    folds = int(fold.max()) + 1
    per_class = torch.bincount(labels)
    trained = int(per_class[per_class > 0].median()) * (folds - 1) // folds
    return [2**power for power in range(12) if 2**power < trained]


def masks(labels: Tensor, fold: Tensor, size: int) -> Tensor:
    """[folds, n]: one for the first `size` rows of each class outside the fold."""
    folds = int(fold.max()) + 1
    hot = torch.nn.functional.one_hot(labels)
    kept = []
    for number in range(folds):
        outside = (fold != number).long()
        place = (hot * outside[:, None]).cumsum(0).gather(1, labels[:, None])[:, 0]
        kept.append((outside > 0) & (place <= size))
    return torch.stack(kept).float()


def by_ridge(gram: Tensor, folds: Folds) -> list[Point]:
    """From inner products [n, n]: ridge refitted with 1, 2, 4, … examples a class and judged,
    without augmented copies of any."""
    if folds.augmented is not None:
        rows = folds.originals
        gram, folds = gram[rows[:, None], rows], folds.take(rows)
    return [
        _ridge_point(gram, folds, size)
        for size in sizes(folds.labels, folds.fold)
        if size * folds.classes <= MOST_TRAINED
    ]


def _ridge_point(gram: Tensor, folds: Folds, size: int) -> Point:
    """Accuracy of fits on the first `size` examples of each class outside a fold."""
    kept = masks(folds.labels, folds.fold, size)
    hits = 0
    for number, mask in enumerate(kept):
        trained = torch.nonzero(mask > 0)[:, 0]
        judged = torch.nonzero((folds.fold == number) & folds.known)[:, 0]
        hits += _hits(gram, folds, trained, judged)
    count = int(folds.known.sum())
    return Point(per_class=float(size), accuracy=hits / count, judged=count)


def _hits(gram: Tensor, folds: Folds, trained: Tensor, judged: Tensor) -> int:
    targets = folds.targets[trained]
    alpha, bias = ridge.by_rows(gram[trained[:, None], trained], targets, l2=RIDGE_L2)
    scores = gram[judged[:, None], trained] @ alpha + bias
    return int((scores.argmax(1) == folds.labels[judged]).sum())


def law(
    points: Sequence[Point], own: Point | None = None, growth: Growth = GROWTH["image"]
) -> Law | None:
    """The power law through the points, weighted by their errors' precision; None without points.

    A fit of ln error on ln m by least squares, with the prior on the slope. All points judge the
    same examples, so the level is no better known than from one of them: from the model's `own`,
    where there is one, as the points may be of simpler fits. Their slope is believed all the same.
    """
    if not points:
        return None if own is None else law([own], growth=growth)
    if own is not None:
        slope = _through(points, growth)
        return replace(
            _through([own], growth),
            exponent=slope.exponent,
            exponent_spread=slope.exponent_spread,
        )
    return _through(points, growth)


def _through(points: Sequence[Point], growth: Growth) -> Law:
    """Of one point or more."""
    reference = max(point.per_class for point in points)
    rows = [_logs(point, reference) for point in points]
    total = sum(weight for _, _, weight in rows)
    mean_x = sum(weight * x for x, _, weight in rows) / total
    mean_y = sum(weight * y for _, y, weight in rows) / total
    belief = EXPONENT_SPREAD**-2
    spread = sum(weight * (x - mean_x) ** 2 for x, _, weight in rows)
    slope = sum(weight * (x - mean_x) * (y - mean_y) for x, y, weight in rows)
    exponent = max(0.0, (belief * growth.exponent - slope) / (belief + spread))
    return Law(
        level=math.exp(mean_y + exponent * mean_x),
        reference=reference,
        exponent=exponent,
        level_spread=max(weight for _, _, weight in rows) ** -0.5,
        exponent_spread=(belief + spread) ** -0.5,
        growth=growth,
    )


def _logs(point: Point, reference: float) -> tuple[float, float, float]:
    """(ln m/reference, ln error, weight); the error shrunk off 0 and 1 by half an example."""
    errors = (1 - point.accuracy) * point.judged
    error = (errors + 0.5) / (point.judged + 1)
    variance = (1 - error) / (error * (point.judged + 1))
    return math.log(point.per_class / reference), math.log(error), 1 / variance


def today(own: Point, now: float, trained: float, growth: Growth = GROWTH["image"]) -> Point:
    """What the model itself, with `now` examples a class, is expected to have of its `own` point,
    which is of parts of this share.
    """
    accuracy = intervals.grown(own.accuracy, trained, now, growth)
    return replace(own, per_class=now, accuracy=accuracy)


def as_json(
    points: Sequence[Point],
    now: float,
    own: Point | None = None,
    present: Point | None = None,
    growth: Growth = GROWTH["image"],
) -> dict[str, object] | None:
    """Measured points and a forecast beyond `now` examples a class, each with a 95% interval.

    The last point is the model's `own`. No forecast is below it, nor below what the model is
    expected to have at `present` (`today`): more examples do no harm.
    """
    known = law(points, present, growth)
    if known is None:
        return None
    # what a fold's fit has of a class comes by several ways, of which floats differ
    by_size = {round(point.per_class, 6): point for point in (*points, *([own] if own else ()))}
    least = present.accuracy if present else 0.0
    judged = max(point.judged for point in by_size.values())
    return {
        "points": [_measured(by_size[size]) for size in sorted(by_size)],
        "forecast": [_forecast(known, now * multiple, least, judged) for multiple in FORECAST],
        "exponent": {"value": known.exponent, "spread": known.exponent_spread},
    }


def _measured(point: Point) -> dict[str, float]:
    low, high = wilson(point.accuracy * point.judged, point.judged)
    return {"per_class": point.per_class, "accuracy": point.accuracy, "low": low, "high": high}


def _forecast(known: Law, per_class: float, least: float, judged: int) -> dict[str, float]:
    """The law's accuracy, or `least`; the interval has the law's spreads and what folds miss."""
    error = known.error(per_class)
    start = min(1.0, known.level)
    more = known.growth.steps(known.reference, known.reference / per_class)
    middle = (judged * start + 2) / (judged + 4)
    level = intervals.variance(middle, judged, known.growth) * math.exp(-2 * known.exponent * more)
    half = Z * math.sqrt(level + (error * more * known.exponent_spread) ** 2)
    return {
        "per_class": per_class,
        "accuracy": max(least, 1 - error),
        "low": max(0.0, 1 - error - half),
        "high": min(1.0, max(least, 1 - error) + half),
    }
