"""Average precision and F1 of marks, with intervals by resampling groups (Efron 1979).

Average precision is Σ (recall gained · precision) over the distinct scores, from the highest down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from app.core.class_figures import Interval, wilson
from worker.ml.assess import intervals
from worker.ml.assess.evaluation import NOT_ESTIMABLE

DRAWS = 400
MOST_NUMBERS = 2e8
"""Draws times examples times classes, beyond which there are fewer draws."""

FEWEST_DRAWS = 50


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What is judged, [n, C] each: scores or probabilities, decisions, marks, and which count.

    `groups` [n] are what is resampled; `trained` is the share of the examples that a fold's fit
    had, None where the final fit was judged.
    """

    scores: Tensor
    probabilities: Tensor
    said: Tensor
    marks: Tensor
    judged: Tensor
    groups: Tensor
    trained: float | None

    @property
    def rankable(self) -> Tensor:
        """[C]: classes with two examples or more that count, and one without it."""
        having = (self.marks & self.judged).sum(0)
        return (having > 1) & ((~self.marks & self.judged).sum(0) > 0)

    @property
    def design_effect(self) -> float:
        """How many times more examples say no more than one (Kish 1965): groups are alike."""
        size = torch.bincount(torch.unique(self.groups, return_inverse=True)[1]).double()
        return float(size.square().sum() / size.sum())


def average_precision(scores: Tensor, marks: Tensor, weights: Tensor) -> Tensor:
    """[B] of one class: scores and marks [n], weights [B, n]; NaN where no weight has the mark."""
    order = scores.argsort(descending=True, stable=True)
    ordered, having = scores[order], marks[order].double()
    last = torch.searchsorted(-ordered, -ordered, right=True) - 1
    w = weights[:, order].double()
    hits = (w * having).cumsum(1)
    precision = hits[:, last] / w.cumsum(1)[:, last].clamp(min=1e-12)
    return (w * having * precision).sum(1) / hits[:, -1]


@dataclass(frozen=True)
class Resampled:
    """The figure itself and what it was over draws [B]."""

    value: float
    draws: Tensor
    alone: float
    """Marks that say something of their own: where all are right no draw differs, yet one may err.
    """

    def interval(self, trained: float | None) -> Interval:
        """95% by percentiles; out of fold moved and widened for what folds miss."""
        kept = self.draws[self.draws.isfinite()]
        if not math.isfinite(self.value) or len(kept) < 2:
            return NOT_ESTIMABLE
        low, high = (float(kept.quantile(share)) for share in (0.025, 0.975))
        least, most = wilson(self.value * self.alone, self.alone)
        low, high = min(low, self.value, least), max(high, self.value, most)
        if trained is not None:
            low, high = _widened(self.value, low, high, trained)
        return {"value": self.value, "low": max(0.0, low), "high": min(1.0, high)}


def _widened(value: float, low: float, high: float, trained: float) -> tuple[float, float]:
    """As `intervals.out_of_fold` does to a share's: other draws, and a larger fit."""
    extra = intervals.Z * math.sqrt(max(0.0, value * (1 - value)) * intervals.OVERDISPERSION)
    gain = intervals.grown(value, trained) - value
    below, above = math.hypot(value - low, extra), math.hypot(high - value, extra)
    return min(value, value + gain - below), value + gain + above


@dataclass(frozen=True)
class Figures:
    """Of a set of answers: per class average precision, and over classes mAP and F1."""

    average_precision: list[Interval]
    mean_average_precision: Interval
    micro_f1: Interval
    macro_f1: Interval


def figures(answers: Answers) -> Figures:
    """Every figure, the first draw being the set as it is."""
    weights = _draws(answers)
    ranked = torch.stack([_ranked(answers, c, weights) for c in range(answers.marks.shape[1])])
    f1, micro = _f1(answers, weights)
    having = (answers.marks & answers.judged).sum(0) / answers.design_effect
    every, trained = float(having.sum()), answers.trained
    return Figures(
        [_of(row, float(own), trained) for row, own in zip(ranked, having, strict=True)],
        _of(ranked[answers.rankable].nanmean(0), every, trained),
        _of(micro, every, trained),
        _of(f1[answers.judged.any(0)].nanmean(0), every, trained),
    )


def _of(draws: Tensor, alone: float, trained: float | None) -> Interval:
    return Resampled(float(draws[0]), draws[1:], alone).interval(trained)


def _draws(answers: Answers) -> Tensor:
    """How often each example is drawn [1 + B, n]: once, then with its group as that is drawn."""
    _, place = torch.unique(answers.groups, return_inverse=True)
    count = int(place.max()) + 1
    draws = int(min(DRAWS, max(FEWEST_DRAWS, MOST_NUMBERS / answers.marks.numel())))
    chosen = torch.randint(count, (draws, count), generator=torch.Generator().manual_seed(0))
    times = torch.zeros(draws, count).scatter_add_(1, chosen, torch.ones(draws, count))
    return torch.cat([torch.ones(1, len(place)), times[:, place]])


def _ranked(answers: Answers, c: int, weights: Tensor) -> Tensor:
    if not bool(answers.rankable[c]):
        return torch.full((len(weights),), math.nan, dtype=torch.double)
    kept = answers.judged[:, c]
    return average_precision(answers.scores[kept, c], answers.marks[kept, c], weights[:, kept])


def _f1(answers: Answers, weights: Tensor) -> tuple[Tensor, Tensor]:
    """F1 of each class [C, B] and of all marks together [B]; NaN where nothing has the mark."""
    kept = answers.judged.double()
    hits, said, having = (
        kept * (answers.said & answers.marks),
        kept * answers.said,
        kept * answers.marks,
    )
    w = weights.double()
    tp, predicted, support = w @ hits, w @ said, w @ having
    each = 2 * tp / (predicted + support)
    each = torch.where(support > 0, each, torch.nan)
    return each.T, 2 * tp.sum(1) / (predicted + support).sum(1)
