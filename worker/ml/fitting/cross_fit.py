"""Heads in a space, each with its out-of-fold logits, and their mean over heads and spaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from worker.ml.fitting.design import Design
from worker.ml.folds import Folds, training_weights
from worker.ml.solvers import lda, logistic, prototypical, ridge
from worker.ml.solvers.problem import Affine, SolverProblem

MOST_NUMBERS = 2_000_000
"""Scaled logits that are made at a time."""

MOST_EXACT = 200
"""Rows up to which closed forms are solved in double precision."""

LEAST_NOISE = 1e-3
"""λ over the largest weight from which single precision will do for rows of length one."""


@dataclass(frozen=True)
class HeadFit:
    """logits = (x · rows) alpha + b, alpha [N, k], b [k]; `out_of_fold` are [n, k]:

    where there are no folds, those of the fit itself.
    """

    alpha: Tensor
    bias: Tensor
    out_of_fold: Tensor

    def scaled(self, factor: float) -> HeadFit:
        """All logits times `factor`."""
        return HeadFit(self.alpha * factor, self.bias * factor, self.out_of_fold * factor)

    def standard(self) -> HeadFit:
        """Logits that sum to zero in a row and whose deviation is one."""
        alpha = self.alpha - self.alpha.mean(1, keepdim=True)
        logits = self.out_of_fold - self.out_of_fold.mean(1, keepdim=True)
        plain = HeadFit(alpha, self.bias - self.bias.mean(), logits)
        return plain.scaled(1 / max(float(logits.std()), 1e-9))


def weighed(fits: Sequence[HeadFit], weights: Sequence[float]) -> HeadFit:
    """The weighted sum of fits on the same design."""
    scaled = [fit.scaled(weight) for fit, weight in zip(fits, weights, strict=True)]
    return HeadFit(
        torch.stack([fit.alpha for fit in scaled]).sum(0),
        torch.stack([fit.bias for fit in scaled]).sum(0),
        torch.stack([fit.out_of_fold for fit in scaled]).sum(0),
    )


def likelihoods(fits: Sequence[HeadFit], folds: Folds) -> list[float]:
    """Weights ∝ exp(-n·loss) of what is said of examples unseen; equal where there are no folds."""
    if not folds.count:
        return [1 / len(fits)] * len(fits)
    n = folds.examples
    losses = torch.tensor(
        [out_of_fold_loss(fit.out_of_fold, folds) for fit in fits], dtype=torch.double
    )
    return [float(weight) for weight in (-n * losses).softmax(0)]


def by_ridge(design: Design, folds: Folds, l2: Tensor) -> list[HeadFit]:
    """One fit a λ of l2 [Λ], its out-of-fold scores in closed form."""
    if design.many is not None:
        return in_span(design, folds, lambda _: ridge.from_moments(design.moments, l2), len(l2))
    precision = _precision(design, l2)
    solved = ridge.dual(
        design.gram.to(precision),
        folds.targets[design.owner].to(precision),
        design.weights.to(precision),
        l2=l2.to(precision),
    )
    return [
        HeadFit(alpha.double(), bias.double(), logits.double())
        for alpha, bias, logits in zip(
            solved.alpha, solved.bias, _out_of_fold(solved, design, folds), strict=True
        )
    ]


def _precision(design: Design, l2: Tensor) -> torch.dtype:
    """Single where it halves the time of many rows, and where λ is far above its rounding."""
    least = float(l2.min() / design.weights.max())
    return torch.float32 if len(design.gram) > MOST_EXACT and least > LEAST_NOISE else torch.float64


def _out_of_fold(solved: ridge.Dual, design: Design, folds: Folds) -> Tensor:
    """What the fits say of the examples, out of fold where there are folds: [Λ, n, k]."""
    owner, n, precision = design.owner, len(folds.labels), solved.alpha.dtype
    if not folds.count:
        return design.cross.to(precision) @ solved.alpha + solved.bias[:, None]
    if design.asked is None:
        return solved.out_of_fold(folds.targets[owner].to(precision), folds.fold[owner])[:, :n]
    return solved.out_of_fold_by(design.cross.to(precision), folds.fold[owner], folds.fold)


def by_logistic(design: Design, folds: Folds, l2: Tensor) -> list[HeadFit]:
    """One fit a λ, all of them with all folds at once."""
    grid = _per_fold(l2, folds)
    return in_span(
        design, folds, lambda p: logistic.fit(p, grid, iterations=60, tolerance=1e-3), len(l2)
    )


def by_lda(design: Design, folds: Folds, shrinkage: Tensor) -> list[HeadFit]:
    """One fit a shrinkage."""
    return in_span(
        design, folds, lambda _: lda.from_moments(design.moments, shrinkage), len(shrinkage)
    )


def by_prototypes(design: Design, folds: Folds, settings: Tensor) -> list[HeadFit]:
    """The same fit for each of `settings`: it has none."""
    return in_span(design, folds, prototypical.fit, len(settings))


def _per_fold(values: Tensor, folds: Folds) -> Tensor:
    return values.repeat_interleave(1 + folds.count)


def in_span(
    design: Design, folds: Folds, fit: Callable[[SolverProblem], Affine], settings: int
) -> list[HeadFit]:
    """Fit in float32 on the span's coordinates, once on all rows and once without each fold."""
    masks = torch.ones(1, len(folds.labels), dtype=torch.double)
    if folds.count:
        masks = torch.cat([masks, training_weights(folds.fold, folds.count)])
    weights = (masks[:, design.owner] * design.weights).repeat(settings, 1).float()
    x = design.coordinates[None]
    labels = folds.labels[design.owner]
    affine = fit(SolverProblem(x=x, labels=labels, classes=folds.classes, weights=weights))
    return [_read(affine, design, folds, start) for start in range(0, len(weights), len(masks))]


def _read(affine: Affine, design: Design, folds: Folds, start: int) -> HeadFit:
    """The fit on all rows at place `start`, judged by those without each fold after it."""
    n = len(folds.labels)
    place = start + (folds.fold + 1 if folds.count else torch.zeros_like(folds.fold))
    own = design.asked_coordinates
    logits = torch.empty(n, folds.classes)
    for at in torch.unique(place).tolist():
        rows = place == at
        logits[rows] = (own[rows] @ affine.weight[0, at].float() + affine.bias[0, at]).float()
    alpha = design.combination(affine.weight[0, start])
    return HeadFit(alpha, affine.bias[0, start].double(), logits.double())


def out_of_fold_loss(logits: Tensor, folds: Folds) -> float:
    """Of those examples whose class the fit that judges them has seen; without folds, of all."""
    if not folds.count:
        return loss(logits[folds.originals], folds.labels[folds.originals])
    if bool(folds.known.all()):
        return loss(logits, folds.labels)
    return loss(logits[folds.known], folds.labels[folds.known])


def loss(logits: Tensor, labels: Tensor) -> float:
    """Mean cross-entropy in nats of logits [n, k] at their best temperature of 41."""
    temperatures = torch.logspace(-2, 2, 41, dtype=logits.dtype)
    size = MOST_NUMBERS // logits.numel()
    if not size:
        return -_highest(lambda t: float(_log_likelihood(logits, labels, temperatures[t, None])))
    return -max(
        float(_log_likelihood(logits, labels, part).max()) for part in temperatures.split(size)
    )


def _highest(likelihood: Callable[[int], float]) -> float:
    """The highest of those at 41 temperatures: of one peak, as it is concave in what logits are
    multiplied by.
    """
    known = cache(likelihood)
    low, high = 0, 40
    while low < high:
        middle = (low + high) // 2
        if known(middle) < known(middle + 1):
            low = middle + 1
        else:
            high = middle
    return known(low)


def _log_likelihood(logits: Tensor, labels: Tensor, temperatures: Tensor) -> Tensor:
    """The mean log-probability [t] of the labels at temperatures [t]."""
    scaled = logits[None] / temperatures[:, None, None]
    true = scaled.gather(2, labels[None, :, None].expand(len(temperatures), -1, 1))[..., 0]
    return (true - scaled.logsumexp(-1)).mean(1)
