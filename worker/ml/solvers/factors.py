"""Cholesky's factors of matrices that are positive definite, or would be but for rounding."""

from __future__ import annotations

import torch
from torch import Tensor

GROWTH = 10.0
"""How much more is added to the diagonal each time that what was added did not do."""


def cholesky(matrices: Tensor) -> Tensor:
    """The lower factors [..., n, n] of symmetric matrices [..., n, n].

    Sums of products round, and rows that are nearly copies leave eigenvalues smaller than that: to
    the diagonal of a matrix without a factor its rounding is added, and more until it has one.
    Raises ValueError where numbers are not finite.
    """
    factors, failed = torch.linalg.cholesky_ex(matrices)
    added = torch.finfo(matrices.dtype).eps * _size(matrices)
    lifted = matrices.clone() if bool(failed.any()) else matrices
    while bool(failed.any()):
        added = GROWTH * added
        lifted.diagonal(dim1=-2, dim2=-1).add_((added * (failed > 0))[..., None])
        factors, failed = torch.linalg.cholesky_ex(lifted)
    factored: Tensor = factors
    return factored


def _size(matrices: Tensor) -> Tensor:
    """The mean of the diagonal [...], or the least normal number."""
    if not bool(matrices.isfinite().all()):
        raise ValueError("numbers of a matrix that is to be factored are not finite")
    least = torch.finfo(matrices.dtype).tiny
    return matrices.diagonal(dim1=-2, dim2=-1).abs().mean(-1).clamp(min=least)
