"""What names count beside what was learned of examples: logits (1 - w)·learned + w·named.

The weight is chosen by what the blend says of examples unseen (GDA: Wang et al. 2024; LP++: Huang
et al. 2024, who choose it on validation sets): the mean of its posterior over a grid. Names have
learned nothing of any example, so what they say is unseen always; that is all there is to go by
where one example a class leaves nothing of the fit to judge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from worker.ml.assess import calibration
from worker.ml.fitting import cross_fit
from worker.ml.folds import Folds

GRID = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98)
"""Weights that are compared."""

SPREAD = 1.5
"""Of a weight's log-odds around what is expected before the first fold is judged."""

FADING = 2.0
"""What is expected falls by so much of the logarithm of examples a class, from two on: folds judge
a fit of fewer examples than the model has.
"""
OF_ONE, OF_MORE = 8, 3
"""Powers of what a guess would miss: one example a class teaches less than names know that say
anything, and leaves nothing to correct their weight by.
"""


@dataclass(frozen=True, kw_only=True)
class Blend:
    """`share` of the names; `learned` and `named` are what logits of each are multiplied by, and
    `temperature` that of the sum.
    """

    share: float
    learned: float
    named: float
    temperature: float = 1.0


def blend(learned: Tensor, named: Tensor, folds: Folds, *, temperature: float) -> Blend:
    """Of logits [n, k], those of the fit out of fold; the blend is as spread out as `learned`.

    `temperature` is that of `named`, as their network was taught.
    """
    scale = float(learned.std()) / max(float(named.std()), 1e-9)
    said = named * scale
    share = _chosen(learned, said, folds) if folds.count else _promised(said, folds)
    mixed = (1 - share) * learned + share * said
    keep = float(learned.std()) / max(float(mixed.std()), 1e-9)
    made = Blend(share=share, learned=(1 - share) * keep, named=share * scale * keep)
    own = calibration.temperature(
        said[folds.originals],
        folds.labels[folds.originals],
        per_class=folds.per_class,
        prior={1: temperature * scale},
    )
    return replace(made, temperature=_temperature(keep * mixed, own, share, folds))


def _temperature(mixed: Tensor, own: float, share: float, folds: Folds) -> float:
    """Of the blend: what is expected lies between the fit's and the names' `own`, by shares."""
    usual = calibration.prior_log_temperature(folds.per_class, calibration.PRIOR)
    expected = math.exp((1 - share) * usual + share * math.log(own))
    known = folds.known
    return calibration.temperature(
        mixed[known], folds.labels[known], per_class=folds.per_class, prior={1: expected}
    )


def centred(logits: Tensor) -> Tensor:
    """Rows that sum to zero."""
    return logits - logits.mean(1, keepdim=True)


def _chosen(learned: Tensor, said: Tensor, folds: Folds) -> float:
    """The mean weight under its posterior: around what names alone promise, by what folds say."""
    n, first = int(folds.known.sum()), min(max(_promised(said, folds), GRID[0]), GRID[-1])
    expected = _odds(first) - FADING * math.log(max(1.0, folds.per_class / 2))
    scores = [
        -n * cross_fit.out_of_fold_loss((1 - share) * learned + share * said, folds)
        - ((_odds(share) - expected) / SPREAD) ** 2 / 2
        for share in GRID
    ]
    weights = torch.tensor(scores, dtype=torch.double).softmax(0)
    return float((weights * torch.tensor(GRID, dtype=torch.double)).sum())


def _odds(share: float) -> float:
    """In logarithms; none at all is as one in a hundred."""
    kept = max(share, 0.01)
    return math.log(kept / (1 - kept))


def _promised(said: Tensor, folds: Folds) -> float:
    """How far names are from guessing: 1 if they are always right, 0 if they say nothing.

    By a power of what a guess would miss, in nats: names taught on millions of pictures know more
    than a few examples do.
    """
    missed = cross_fit.loss(said[folds.originals], folds.labels[folds.originals]) / math.log(
        folds.classes
    )
    return max(1 - missed ** (OF_MORE if folds.count else OF_ONE), 0.0)
