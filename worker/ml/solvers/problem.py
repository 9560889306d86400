"""What every solver takes and gives: weighted fits on the same rows in, affine maps out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SolverProblem:
    """Several fits at once: S spaces of the same n rows, P weightings of the rows (folds, λ).

    `x` is [S, n, d]; `labels` [n] long below `classes`; `weights` [P, n], zero where a row is held
    out of a fit.
    """

    x: Tensor
    labels: Tensor
    classes: int
    weights: Tensor

    @property
    def targets(self) -> Tensor:
        """One-hot labels [n, k] in x's precision."""
        return torch.nn.functional.one_hot(self.labels, self.classes).to(self.x.dtype)


@dataclass(frozen=True)
class Affine:
    """logits = x W + b for each space and weighting: `weight` [S, P, d, k], `bias` [S, P, k]."""

    weight: Tensor
    bias: Tensor

    def logits(self, x: Tensor) -> Tensor:
        """[S, P, n, k] of rows x [S, n, d]."""
        spaces, fits, width, classes = self.weight.shape
        flat = self.weight.transpose(1, 2).reshape(spaces, width, fits * classes)
        product = (x @ flat).reshape(spaces, -1, fits, classes).transpose(1, 2)
        return product + self.bias[:, :, None]
