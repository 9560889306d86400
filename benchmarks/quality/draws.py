"""Few-shot draws: which rows of a set a cell's support is made of."""

from __future__ import annotations

import torch
from torch import Tensor


def draw(labels: Tensor, shots: int, seed: int) -> Tensor:
    """`shots` rows of every class (all that a class has, if fewer), of labels [n]."""
    generator = torch.Generator().manual_seed(1000 * shots + seed)
    rows = []
    for c in range(int(labels.max()) + 1):
        own = torch.nonzero(labels == c)[:, 0]
        rows.append(own[torch.randperm(len(own), generator=generator)][:shots])
    return torch.cat(rows)
