"""Which probability is enough to say a label: a class at a time, chosen out of fold.

The threshold that makes expected F1 greatest is half that greatest F1 (Lipton, Elkan & Naryanaswamy
2014), where probabilities are calibrated; F1 is expected from probabilities alone, so a few lucky
labels move it little. What is stated of a threshold is counted on examples in whose fold neither
the fit, nor the calibration, nor the choice of the threshold had seen them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.ml.multi_label import platt
from worker.ml.multi_label.folds import MarkedFolds

LOWEST, HIGHEST = 0.02, 0.98


def best(probabilities: Tensor) -> Tensor:
    """[C] from calibrated probabilities [n, C]."""
    ordered = probabilities.double().sort(0, descending=True).values
    taken = torch.arange(1, len(ordered) + 1, dtype=torch.double)[:, None]
    f1 = 2 * ordered.cumsum(0) / (taken + ordered.sum(0))
    return (f1.amax(0) / 2).clamp(LOWEST, HIGHEST)


@dataclass(frozen=True)
class CrossFitted:
    """Probabilities [n, C] and decisions [n, C] of which each fold saw nothing."""

    probabilities: Tensor
    said: Tensor


def cross_fitted(scores: Tensor, folds: MarkedFolds) -> CrossFitted:
    """From out-of-fold scores [n, C]: calibration and thresholds of each fold from the others'."""
    probabilities = torch.zeros(scores.shape, dtype=torch.double)
    said = torch.zeros(scores.shape, dtype=torch.bool)
    for number in range(folds.count):
        inside = folds.fold == number
        judged = folds.judged & ~inside[:, None]
        scaled = platt.fit(scores[~inside], folds.marks[~inside], judged[~inside])
        probabilities[inside] = scaled.probabilities(scores[inside])
        chosen = best(scaled.probabilities(scores[folds.original(~inside)]))
        said[inside] = probabilities[inside] >= chosen
    return CrossFitted(probabilities, said)
