"""A head's own suffix: the shared graph behind the cut, run by the tensors that were tuned."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from app.core.errors import HeadstartError
from worker.ml.backbones.cuts import Suffix, laid_out
from worker.ml.features.spaces import TUNED

MakeSuffix = Callable[[], Suffix]
"""That of a head's backbone; only heads that were tuned ask for it."""
_PREFIX = f"{TUNED}."
TOGETHER = 64
"""Pictures in a pass: of thousands the memory is that of these."""


@dataclass(frozen=True)
class TunedSuffix:
    """`graph` maps activations [n, *shape] to embeddings by the head's own tensors, float32;
    `observe` is told the seconds of each pass.
    """

    graph: fx.GraphModule
    shape: tuple[int, ...]
    observe: Callable[[float], None] = lambda _seconds: None

    @classmethod
    def of(cls, suffix: Suffix, stored: Mapping[str, Tensor]) -> TunedSuffix:
        """Of a stored head's tensors. Raises model_corrupt where they are of another cut."""
        own = {
            name.removeprefix(_PREFIX): value.float()
            for name, value in stored.items()
            if name.startswith(_PREFIX)
        }
        shapes = {name: value.shape for name, value in suffix.start.items()}
        if {name: value.shape for name, value in own.items()} != shapes:
            raise HeadstartError("model_corrupt", "The tuned tensors do not fit their network.")
        graph = copy.deepcopy(suffix.graph).requires_grad_(False)
        for name, value in graph.named_parameters():
            value.data = laid_out(own[name])
        return cls(graph, suffix.cut.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors."""
        return sum(value.nbytes for value in self.graph.parameters())

    def traced(self, activations: Tensor) -> Tensor:
        """[n, d] of activations [n, width], by tensor operations alone."""
        embedded: Tensor = self.graph(self._shaped(activations))
        return embedded

    def __call__(self, activations: Tensor) -> Tensor:
        """The same of any number, some at a time."""
        began = time.perf_counter()
        parts = activations.split(TOGETHER)
        rows = torch.cat([self.graph(laid_out(self._shaped(part))) for part in parts])
        self.observe(time.perf_counter() - began)
        return rows

    def _shaped(self, activations: Tensor) -> Tensor:
        return activations.float().reshape(-1, *self.shape)


def without_suffix(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A stored head's tensors but those of its suffix."""
    return {name: value for name, value in stored.items() if not name.startswith(_PREFIX)}
