"""What a suffix is tuned on: the activations of every view, the labels and their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from app.core.modalities import TUNED_VIEWS
from worker.ml.backbones.cuts import Suffix

BATCH = 32
MANY_VIEWS = 7
"""Of embeddings, at most."""
TIMES = 12
"""As often the tensors are in memory: now, averaged, with moments and gradient, best, finished."""
EVALUATED = 64
"""Pictures in a forward pass that learns nothing."""


@dataclass(frozen=True, kw_only=True)
class TuningRows:
    """`views` are [n, width] fp16 each, the primary one first; labels, weights and places [n]."""

    views: Sequence[Tensor]
    labels: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def drawn(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Activations [m, width], of each example those of a view drawn at random."""
        chosen = torch.randint(len(self.views), (len(rows),), generator=generator)
        return torch.stack(
            [self.views[v][row] for v, row in zip(chosen.tolist(), rows.tolist(), strict=True)]
        ).float()


def bytes_needed(suffix: Suffix, *, examples: int, vector: int) -> int:
    """About what a fit holds: activations of all views, read and put in order, the embeddings, the
    tensors with their averages and moments, and what a batch leaves for its gradients.
    """
    kept = 2 * 2 * examples * (len(TUNED_VIEWS) * suffix.cut.width + MANY_VIEWS * vector)
    tensors = sum(value.nbytes for value in suffix.start.values())
    return kept + TIMES * tensors + BATCH * _trace(suffix)


def _trace(suffix: Suffix) -> int:
    """Bytes of everything that the suffix computes of one picture."""
    found: list[int] = []

    class Counting(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            made = super().run_node(n)
            if isinstance(made, Tensor) and n.op == "call_function":
                found.append(made.nbytes)
            return made

    with torch.no_grad():
        Counting(suffix.graph).run(torch.zeros(1, *suffix.cut.shape))
    return sum(found)


@torch.no_grad()
def embedded(suffix: Suffix, tensors: Mapping[str, Tensor], activations: Tensor) -> Tensor:
    """[n, d] float32 of activations [n, width], some at a time."""
    parts = [suffix.embed(tensors, some.float()) for some in activations.split(EVALUATED)]
    return torch.cat(parts)
