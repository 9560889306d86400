"""What unlabelled inputs of a new source tell of a model: thresholds, and how often it is right.

Nothing in them says whether they are of the model's classes: thresholds hold if they are. How often
the model is right is estimated from how sure it is, and holds as far as it knows when it is not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""False alarms whose thresholds a head keeps."""

LEAST = 30
"""Inputs from which thresholds are made: at 5% of 30 one or two are unknown."""

DOUBTFUL = 0.5
"""The share of unknown inputs from which they may as well be of other classes."""

ALIKE = 0.2
"""Share of the spread of a model's own examples' scores below which inputs are suspiciously alike:
the pictures of one burst are one input, however many they are."""

RESIDUAL = 0.09
"""Standard deviation of what the estimate misses of the accuracy on new sources (measured)."""

Z = 1.96
METHOD = "mean of average thresholded confidence and difference of confidences"
"""Garg et al. 2022, "Leveraging unlabeled data to predict out-of-distribution performance";
Guillory et al. 2021, "Predicting with confidence on unseen distributions".
"""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """How sure a model was of examples that it never learned from, and which it got right."""

    confidences: Sequence[float]
    right: Sequence[bool]


def thresholds(scores: Sequence[float]) -> list[float]:
    """Below which score a share of the inputs lies, for each of RATES: Hazen's sample quantile;

    past the smallest score, on by standard deviations.
    """
    ordered, n = sorted(scores), len(scores)
    deviation = stdev(ordered) if n > 1 else 1.0
    return [_quantile(ordered, rate * n - 0.5, deviation) for rate in RATES]


def _quantile(ordered: Sequence[float], place: float, deviation: float) -> float:
    if place < 0:
        return ordered[0] + place * deviation
    lower = min(int(place), len(ordered) - 1)
    upper = min(lower + 1, len(ordered) - 1)
    between = ordered[lower] + (place - lower) * (ordered[upper] - ordered[lower])
    return min(between, ordered[upper])


def threshold(thresholds: Sequence[float], rate: float) -> float:
    """Below which score a share `rate` of known inputs falls, linear between RATES."""
    rate = min(max(rate, RATES[0]), RATES[-1])
    upper = next(place for place, known in enumerate(RATES) if known >= rate)
    lower = max(0, upper - 1)
    width = RATES[upper] - RATES[lower]
    share = (rate - RATES[lower]) / width if width else 0.0
    between = thresholds[lower] + share * (thresholds[upper] - thresholds[lower])
    return min(between, thresholds[upper])  # rounded up, it would call all that is equal unknown


def unknown_share(scores: Sequence[float], known: Sequence[float], rate: float) -> float:
    """The share of inputs that thresholds `known` call unknown at this rate of false alarms."""
    least = threshold(known, rate)
    return sum(score < least for score in scores) / len(scores)


def are_alike(scores: Sequence[float], known: Sequence[float]) -> bool:
    """Whether inputs' scores differ far less than a model's own examples' do, whose thresholds are
    `known`: both by how far the median is from what one in twenty falls below.
    """
    own, theirs = _lower_half(known), _lower_half(thresholds(scores))
    return theirs < ALIKE * own


def _lower_half(known: Sequence[float]) -> float:
    return threshold(known, 0.5) - threshold(known, 0.05)


def resolution(n: int, rate: float) -> float:
    """How far the false-alarm rate on further inputs may be from `rate`: 1.96 standard errors."""
    return Z * math.sqrt(rate * (1 - rate) / n)


def accuracy(judged: Judged, confidences: Sequence[float]) -> dict[str, Any]:
    """The accuracy expected on inputs of which the model is `confidences` sure.

    Thresholded confidence: the share that is surer than what parted the judged examples into as
    many as were right. Difference of confidences: the judged accuracy less what confidence fell by.
    """
    own = fmean(judged.right)
    fell = fmean(judged.confidences) - fmean(confidences)
    differing = min(1.0, max(0.0, own - fell))
    thresholded = _thresholded(judged, confidences)
    value = (differing + thresholded) / 2
    half = Z * math.hypot(RESIDUAL, math.sqrt(value * (1 - value) / len(confidences)))
    return {
        "value": value,
        "low": max(0.0, value - half),
        "high": min(1.0, value + half),
        "thresholded_confidence": thresholded,
        "difference_of_confidences": differing,
    }


def _thresholded(judged: Judged, confidences: Sequence[float]) -> float:
    ordered = sorted(judged.confidences)
    wrong = len(ordered) - sum(judged.right)
    if wrong >= len(ordered):
        return 0.0
    least = ordered[wrong]
    return sum(one >= least for one in confidences) / len(confidences)


def recalibrated(config: Mapping[str, Any], scores: Sequence[float]) -> dict[str, Any]:
    """A head's config with thresholds of `unknown` by these inputs; everything else as it was."""
    return {**config, "unknown": {**config["unknown"], "thresholds": thresholds(scores)}}
