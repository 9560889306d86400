"""Feature spaces: what heads see of a backbone's vector. Head-independent, one pass a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from app.core.backbones import Block

PRIMARY = "squish"
"""The view that every image has, and the only one a prediction needs by default."""


def last_block(layout: Sequence[Block]) -> Block:
    """The mean of the last feature map: what the backbone's own classifier read."""
    means = [block for block in layout if block.statistic == "mean"]
    return max(means, key=lambda block: block.level)


def last(rows: Tensor, layout: Sequence[Block]) -> Tensor:
    """The last layer's embedding, L2-normalised: [n, D] → [n, d]."""
    block = last_block(layout)
    return unit(rows[:, block.start : block.stop].float())


def unit(rows: Tensor) -> Tensor:
    """Rows of length one (zero rows stay zero)."""
    return torch.nn.functional.normalize(rows, dim=-1)


def mean_view(features: Mapping[str, Tensor], views: Sequence[str]) -> Tensor:
    """The mean over `views` of [n, d] each."""
    return torch.stack([features[view] for view in views]).mean(0)


def span(gram: Tensor) -> Tensor:
    """Coordinates L [n, n] of centred rows in their own span: L Lᵀ = the Gram matrix [n, n].

    Every L2-regularised fit on the rows is the same fit on L; a weight v there is Xᵀ L⁻ᵀ v.
    """
    jitter = 1e-7 * gram.diagonal().mean().clamp(min=1e-12)
    return torch.linalg.cholesky(gram + jitter * torch.eye(len(gram), dtype=gram.dtype))


def unspan(rows: Tensor, factor: Tensor, weight: Tensor) -> Tensor:
    """Weights [d, k] on the rows [n, d] themselves from weights [n, k] on their span."""
    return rows.T @ torch.linalg.solve_triangular(factor.T, weight, upper=True)
