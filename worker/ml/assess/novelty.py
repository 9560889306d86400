"""Is an input like anything that was trained on? A score, and a threshold at a stated false alarm.

The score is the confidence plus the mean cosine to the three nearest support examples of that
class, each over its spread among known inputs. Classes close to the trained ones are hard to tell
(AUROC about 0.75), other kinds of input easy (0.99 and more; the cosine does it).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from app.core.calibration import recalibration

NEAREST = 3
RATES = recalibration.RATES
FALSE_ALARM = 0.05
"""The default share of known inputs that are called unknown."""

LEAST_SPREAD = (0.15, 0.02)
"""Of probabilities and cosines: a support set on which all is sure must not make one part count."""


def confidence(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """(confidence [n], predicted class [n]): the top probability at twice the temperature.

    At the calibrated one nearly all probabilities of an easy task are 1, and say nothing.
    """
    softened = probabilities.sqrt()
    top, predicted = softened.max(1)
    return top / softened.sum(1), predicted


def plain_confidence(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """(top probability [n], predicted class [n])."""
    top, predicted = probabilities.max(1)
    return top, predicted


@dataclass(frozen=True, kw_only=True)
class NoveltyDetector:
    """score = probability/spreads[0] + similarity/spreads[1]; below a threshold is unknown.

    `thresholds` are those at RATES of false alarms. `estimable` is False where no example could be
    judged by a fit that had not seen it (one a class): the thresholds are then a guess from how
    near the classes are to each other, and only the similarity counts.
    """

    spreads: tuple[float, float]
    thresholds: tuple[float, ...]
    estimable: bool

    def score(self, probability: Tensor, similarity: Tensor) -> Tensor:
        """[n] from top probabilities [n] and similarities to the top class [n]; higher is known."""
        share = probability / self.spreads[0] if self.estimable else torch.zeros_like(probability)
        return share + similarity / self.spreads[1]

    def threshold(self, false_alarm: float = FALSE_ALARM) -> float:
        """Below which score a share `false_alarm` of known inputs falls, linear between RATES."""
        return recalibration.threshold(self.thresholds, false_alarm)

    def as_json(self) -> dict[str, Any]:
        """What a model card keeps."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> NoveltyDetector:
        """From `as_json`'s."""
        first, second = told["spreads"]
        thresholds = tuple(told["thresholds"])
        return cls(
            spreads=(first, second), thresholds=thresholds, estimable=bool(told["estimable"])
        )


def fit_threshold(probability: Tensor | None, similarity: Tensor) -> NoveltyDetector:
    """From known inputs' out-of-fold top probabilities [n] and leave-one-out similarities [n].

    Without out-of-fold probabilities (one example a class) `similarity` is that of each example to
    the nearest one of another class.
    """
    spreads = (_spread(probability, LEAST_SPREAD[0]), _spread(similarity, LEAST_SPREAD[1]))
    bare = NoveltyDetector(spreads=spreads, thresholds=(), estimable=probability is not None)
    known = bare.score(
        torch.zeros_like(similarity) if probability is None else probability, similarity
    )
    thresholds = tuple(_quantile(known.double(), rate) for rate in RATES)
    return NoveltyDetector(spreads=spreads, thresholds=thresholds, estimable=bare.estimable)


def similarity(rows: Tensor, support: Tensor, labels: Tensor, predicted: Tensor) -> Tensor:
    """Mean cosine [q] of unit rows [q, D] to the nearest `support` [n, D] of the predicted class.

    A class without an example gives the nearest of all.
    """
    return _nearest(rows @ support.T, labels, predicted)


def of_support(support: Tensor, labels: Tensor, predicted: Tensor) -> Tensor:
    """The same for each unit row [n, D] of the support, itself left out (thin large ones first)."""
    cosines = support @ support.T
    cosines.fill_diagonal_(-torch.inf)
    return _nearest(cosines, labels, predicted)


def between_classes(support: Tensor, labels: Tensor) -> Tensor:
    """Cosine [n] of each unit row [n, D] to the nearest row of another class."""
    cosines = support @ support.T
    return cosines.masked_fill(labels[:, None] == labels[None], -torch.inf).amax(1)


def _nearest(cosines: Tensor, labels: Tensor, predicted: Tensor) -> Tensor:
    """Mean of the NEAREST largest finite cosines [q, n] among the predicted class's columns."""
    own = cosines.masked_fill(labels[None] != predicted[:, None], -torch.inf)
    none = own.isinf().all(1, keepdim=True)
    best = torch.where(none, cosines, own).topk(min(NEAREST, cosines.shape[1]), 1).values
    there = best.isfinite()
    total = best.masked_fill(~there, 0.0).sum(1)
    return total / there.sum(1).clamp(min=1)


def _spread(values: Tensor | None, least: float) -> float:
    if values is None or len(values) < 2:
        return least
    return max(float(values.std()), least)


def _quantile(known: Tensor, rate: float) -> float:
    """Hazen's sample quantile [n ≥ 1]; past the smallest score, on by standard deviations."""
    ordered = known.sort().values
    n = len(ordered)
    place = rate * n - 0.5
    if place < 0:
        deviation = float(ordered.std()) if n > 1 else 1.0
        return float(ordered[0]) + place * deviation
    lower = min(int(place), n - 1)
    upper = min(lower + 1, n - 1)
    return float(ordered[lower] + (place - lower) * (ordered[upper] - ordered[lower]))
