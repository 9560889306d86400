"""Linear discriminant analysis (Fisher 1936; Friedman 1989): classes as Gaussians of one shape.

Their covariance is (1 - s)·within + s·(total variance/d)·I; every class is equally likely.
"""

from __future__ import annotations

import torch
from torch import Tensor

from worker.ml.heads.base import Affine, Problem


def fit(problem: Problem, shrinkage: Tensor) -> Affine:
    """All S by P fits; `shrinkage` is s [P] in (0, 1]. x [S, n, d] with d up to a few thousand."""
    x, w = problem.x[:, None], problem.weights.to(problem.x.dtype)[None, :, :, None]
    mass = problem.targets * w
    means = mass.transpose(2, 3) @ x / mass.sum(2).clamp(min=1e-12)[..., None]
    covariance = _covariance(problem, means, shrinkage.to(x.dtype))
    weight = torch.cholesky_solve(means.transpose(2, 3), torch.linalg.cholesky(covariance))
    return Affine(weight, -0.5 * (means.transpose(2, 3) * weight).sum(2))


def _covariance(problem: Problem, means: Tensor, shrinkage: Tensor) -> Tensor:
    """The shrunk covariance [S, P, d, d]."""
    x, w = problem.x[:, None], problem.weights.to(problem.x.dtype)
    share = (w / w.sum(1, keepdim=True))[None, :, :, None]
    apart = x - means[:, :, problem.labels]
    within = (apart * share).transpose(2, 3) @ apart
    centre = (share * x).sum(2, keepdim=True)
    variance = (share * (x - centre).square()).sum((2, 3)) / x.shape[-1]
    identity = torch.eye(x.shape[-1], dtype=x.dtype)
    s = shrinkage[None, :, None, None]
    return (1 - s) * within + s * variance[..., None, None] * identity
