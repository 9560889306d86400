"""Linear discriminant analysis (Fisher 1936; Friedman 1989): classes as Gaussians of one shape.

Their covariance is (1 - s)·within + s·(total variance/d)·I; every class is equally likely. Of few
rows `within` is singular, and rounding may make it worse: what is added of I is at least that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from worker.ml import threads
from worker.ml.solvers import moments
from worker.ml.solvers.moments import Moments
from worker.ml.solvers.problem import Affine, SolverProblem

ROUNDING = 16
"""How many times the precision of the rows' total square the least that is added of I is."""


def fit(problem: SolverProblem, shrinkage: Tensor) -> Affine:
    """All S by P fits; `shrinkage` is s [P] in [0, 1]. x [S, n, d] with d up to a few thousand."""
    x, w = problem.x[:, None], problem.weights.to(problem.x.dtype)[None, :, :, None]
    mass = problem.targets * w
    means = mass.transpose(2, 3) @ x / mass.sum(2).clamp(min=1e-12)[..., None]
    covariance = _covariance(problem, means, shrinkage.to(x.dtype))
    weight = torch.cholesky_solve(means.transpose(2, 3), torch.linalg.cholesky(covariance))
    return Affine(weight, -0.5 * (means.transpose(2, 3) * weight).sum(2))


def _least(square: Tensor) -> Tensor:
    """The least to add of I where the rows' weighted mean square is `square`."""
    return ROUNDING * torch.finfo(square.dtype).eps * square


def _covariance(problem: SolverProblem, means: Tensor, shrinkage: Tensor) -> Tensor:
    """The shrunk covariance [S, P, d, d]."""
    x, w = problem.x[:, None], problem.weights.to(problem.x.dtype)
    share = (w / w.sum(1, keepdim=True))[None, :, :, None]
    apart = x - means[:, :, problem.labels]
    within = (apart * share).transpose(2, 3) @ apart
    centre = (share * x).sum(2, keepdim=True)
    variance = (share * (x - centre).square()).sum((2, 3)) / x.shape[-1]
    identity = torch.eye(x.shape[-1], dtype=x.dtype)
    s = shrinkage[None, :, None, None]
    least = _least((share * x.square()).sum((2, 3)))
    added = torch.maximum(shrinkage * variance, least)[..., None, None]
    return (1 - s) * within + added * identity


def with_folds(problem: SolverProblem, shrinkage: Tensor, *, fold: Tensor, count: int) -> Affine:
    """The fit on all rows and those without each fold, at every shrinkage [Q], of one space.

    `fold` [n] is below `count`, `problem.weights` is [1, n]. Fits are as `from_moments` has them.
    """
    return from_moments(moments.with_folds(problem, fold=fold, count=count), shrinkage)


def from_moments(each: Sequence[Moments], shrinkage: Tensor) -> Affine:
    """[1, Q·len(each), d, k]: all fits of a shrinkage together, in the order of `each`."""
    values = shrinkage.to(each[0].second.dtype)
    found = threads.each(lambda one: list(_solutions(one, values)), each)
    ordered = [fits[q] for q in range(len(shrinkage)) for fits in found]
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
        weight = torch.cholesky_solve(means.T, torch.linalg.cholesky(covariance))
        yield weight, -0.5 * (means.T * weight).sum(0)
