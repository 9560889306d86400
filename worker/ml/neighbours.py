"""The training examples nearest to an input, by the cosine of their last-layer embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from worker.ml import spaces
from worker.ml.heads.base import Support

if TYPE_CHECKING:
    from app.core.backbones import Block


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One training example; `similarity` is a cosine."""

    example_id: str
    label: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """A support set to look up in: unit rows [n, d] fp16, and whose they are."""

    rows: Tensor
    ids: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def nbytes(self) -> int:
        """Bytes in memory, the names included."""
        names = sum(len(name) + 60 for name in (*self.ids, *self.labels))
        return self.rows.numel() * self.rows.element_size() + names

    def nearest(
        self, rows: Tensor, layout: Sequence[Block], *, count: int
    ) -> list[list[Neighbour]]:
        """The `count` nearest to each of the backbone's rows [n, D], nearest first."""
        similarity = spaces.last(rows, layout) @ self.rows.float().T
        values, places = similarity.topk(min(count, len(self.ids)), dim=1)
        return [
            [
                Neighbour(self.ids[place], self.labels[place], float(value))
                for value, place in zip(row_values, row_places, strict=True)
            ]
            for row_values, row_places in zip(values.tolist(), places.tolist(), strict=True)
        ]


def of_support(support: Support, layout: Sequence[Block]) -> Neighbourhood:
    """The support's own embeddings in the primary view (squish, or text)."""
    view = spaces.PRIMARY if spaces.PRIMARY in support.features else "text"
    rows = spaces.last(support.features[view], layout).to(torch.float16)
    labels = tuple(support.classes[label] for label in support.labels.tolist())
    return Neighbourhood(rows.contiguous(), tuple(support.ids), labels)
