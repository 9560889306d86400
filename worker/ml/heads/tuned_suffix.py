"""A head's own part of the network: the shared graph behind the cut, by tensors of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from app.core.errors import HeadstartError
from app.core.modalities import Depth
from worker.ml.backbones.suffix import State, Suffix, for_serving, laid_out
from worker.ml.features.spaces import TUNED

MakeSuffix = Callable[[Depth], Suffix]
"""That of a head's backbone at a depth; only heads that were tuned ask for it."""
_PREFIX = f"{TUNED}."
TOGETHER = 2**20
"""Activations at the cut that a pass reads: of thousands of pictures the memory is that of these.
Whole networks are quickest at some six pictures, beyond which their layers leave the caches.
"""


@dataclass(frozen=True)
class TunedSuffix:
    """`graph` maps activations [n, *shape] to embeddings [n, d] by the head's `own` tensors,
    float32 and laid out for it; `observe` is told the seconds of each pass.

    It computes where `suffix` lies, whatever lies where: its answers are beside what it was given.
    """

    suffix: Suffix
    own: State
    graph: nn.Module
    observe: Callable[[float], None] = lambda _seconds: None

    @classmethod
    def of(cls, suffix: Suffix, stored: Mapping[str, Tensor]) -> TunedSuffix:
        """Of a stored head's tensors. Raises model_corrupt where they are of another network."""
        own = {
            name.removeprefix(_PREFIX): value.float()
            for name, value in stored.items()
            if name.startswith(_PREFIX)
        }
        if not suffix.fits(own):
            raise HeadstartError("model_corrupt", "The tuned tensors do not fit their network.")
        there = {name: for_serving(value.to(suffix.device)) for name, value in own.items()}
        return cls(suffix, there, suffix.served(there))

    @property
    def nbytes(self) -> int:
        """Of the tensors."""
        return sum(value.nbytes for value in self.own.values())

    def to_be_traced(self) -> TunedSuffix:
        """The same by the graph as it was written down, which every exporter follows."""
        own = {name: laid_out(value) for name, value in self.own.items()}
        return replace(self, own=own, graph=self.suffix.live(own))

    def traced(self, activations: Tensor) -> Tensor:
        """[n, d] of activations [n, width], by tensor operations alone."""
        shape = self.suffix.cut.shape
        return self._beside(activations, activations.float().reshape(-1, *shape))

    def __call__(self, activations: Tensor) -> Tensor:
        """The same of any number, some at a time; rows that are not finite are NaN throughout, so
        that whatever is made of them is, too.
        """
        began = time.perf_counter()
        parts = activations.split(max(1, TOGETHER // self.suffix.cut.width))
        rows = torch.cat([self._beside(part, self.suffix.shaped(part)) for part in parts])
        self.observe(time.perf_counter() - began)
        return _finite_or_nan(rows)

    @torch.no_grad()
    def read(self, texts: Sequence[str]) -> Tensor:
        """[n, d] of texts, as finite."""
        began = time.perf_counter()
        rows = self.suffix.embed_texts(texts, lambda tokens: self._beside(tokens, tokens))
        self.observe(time.perf_counter() - began)
        return _finite_or_nan(rows)

    def _beside(self, given: Tensor, inputs: Tensor) -> Tensor:
        """What the graph makes of `inputs`, where `given` lies; on one device there is no move."""
        device = self.suffix.device
        if given.device == device:
            embedded: Tensor = self.graph(inputs)
            return embedded
        moved: Tensor = self.graph(inputs.to(device))
        return moved.to(given.device)


def _finite_or_nan(rows: Tensor) -> Tensor:
    """[n, d]: an infinite number can become a probability of one, NaN cannot."""
    return torch.where(rows.isfinite().all(1, keepdim=True), rows, torch.nan)


def without_suffix(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A stored head's tensors but those of its suffix."""
    return {name: value for name, value in stored.items() if not name.startswith(_PREFIX)}
