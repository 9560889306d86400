"""Linear discriminant analysis (Fisher 1936; Friedman 1989): classes as Gaussians of one shape.

Their covariance is (1 - s)·within + s·(total variance/d)·I; every class is equally likely. Of few
rows `within` is singular, and rounding may make it worse: what is added of I is at least that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from worker.ml import threads
from worker.ml.solvers.factors import cholesky
from worker.ml.solvers.moments import Moments
from worker.ml.solvers.problem import Affine

ROUNDING = 16
"""How many times the precision of the rows' total square the least that is added of I is."""


def _least(square: Tensor) -> Tensor:
    """The least to add of I where the rows' weighted mean square is `square`."""
    return ROUNDING * torch.finfo(square.dtype).eps * square


def from_moments(each: Sequence[Moments], shrinkage: Tensor) -> Affine:
    """[1, Q·len(each), d, k]: all fits of a shrinkage together, in the order of `each`."""
    values = shrinkage.to(each[0].second.dtype)
    solutions = threads.each(lambda one: list(_solutions(one, values)), each)
    ordered = [fits[q] for q in range(len(shrinkage)) for fits in solutions]
    weight, bias = zip(*ordered, strict=True)
    return Affine(torch.stack(weight)[None], torch.stack(bias)[None])


def _solutions(one: Moments, shrinkage: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """(W [d, k], b [k]) at each shrinkage."""
    mass, sums, second = one.counts, one.sums, one.second
    total, width = mass.sum(), second.shape[0]
    there = mass > 1e-6 * total
    means = torch.where(there, 1 / mass.clamp(min=1e-12), 0.0)[:, None] * sums
    within = (second - (means * mass[:, None]).T @ means) / total
    variance = (second.trace() / total - (sums.sum(0) / total).square().sum()) / width
    least = _least(second.trace() / total)
    for s in shrinkage.tolist():
        covariance = (1 - s) * within
        covariance.diagonal().add_(torch.maximum(s * variance, least))
        weight = torch.cholesky_solve(means.T, cholesky(covariance))
        yield weight, -0.5 * (means.T * weight).sum(0)
