"""The part of a network that a job tunes: what lies behind a cut, or all of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, fx, nn

from worker.ml.backbones.moving import moved
from worker.ml.backbones.pointwise import as_products, by_input

State = dict[str, Tensor]
STAGE = 0.5
"""A stage's rate, in those of the stage behind it."""


class Tokens(Protocol):
    """What makes tokens of texts."""

    most: int

    def counted(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """Token ids of each window that counts of each text."""
        ...

    def padded(self, rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """Ids and mask [n, t] of windows."""
        ...

    def embed(self, texts: Sequence[str], *, width: int, forward: Any) -> Any:
        """[n, width]; `forward` is asked for windows of like length together."""
        ...


@dataclass(frozen=True)
class Cut:
    """Behind which level a network is cut, and the shape of one picture's activations there.

    Level -1 is before the first: the activations are the pixels, or a text's tokens, which have no
    shape of their own.
    """

    level: int
    shape: tuple[int, ...]

    @property
    def width(self) -> int:
        """How many activations one picture has."""
        return torch.Size(self.shape).numel()


@dataclass(frozen=True)
class Suffix:
    """The part behind the cut: `graph` maps activations [n, *shape] to embeddings [n, d], and of
    texts ids and mask [n, 2, t].

    `start` are the pretrained tensors that are tuned, by name, in the order in which a pass reads
    them; `stages` are the levels that it has, and `decay` is a stage's rate in those of the next;
    `encoder` makes tokens of texts, whose embeddings are [n, dim].
    """

    cut: Cut
    graph: nn.Module
    start: Mapping[str, Tensor]
    stages: int
    decay: float = STAGE
    encoder: Tokens | None = None
    dim: int = 0

    def embed(self, tensors: Mapping[str, Tensor], activations: Tensor) -> Tensor:
        """[n, d] of flat activations [n, width] or tokens [n, 2, t], by `tensors` in place of the
        pretrained ones.
        """
        x = self.shaped(activations)
        embedded: Tensor = torch.func.functional_call(self.graph, dict(tensors), (x,))
        return embedded

    def embed_texts(self, texts: Sequence[str], embed: Callable[[Tensor], Tensor]) -> Tensor:
        """[n, dim] float32 of texts of any length, by what embeds ids and mask [m, 2, t]."""
        assert self.encoder is not None

        def forward(ids: Any, mask: Any) -> Any:
            return embed(stacked(ids, mask)).float().cpu().numpy()

        return torch.from_numpy(self.encoder.embed(texts, width=self.dim, forward=forward))

    def shaped(self, activations: Tensor) -> Tensor:
        """As the graph reads them."""
        if not self.cut.shape:
            return activations
        return laid_out(activations.float().reshape(-1, *self.cut.shape))

    @property
    def device(self) -> torch.device:
        """Where its graph computes."""
        return next(self.graph.parameters()).device

    @property
    def nbytes(self) -> int:
        """Of the graph's tensors, and of those at the start that are none of these."""
        held = (*self.graph.parameters(), *self.graph.buffers(), *self.start.values())
        return sum({one.data_ptr(): one.nbytes for one in held}.values())

    def on(self, device: torch.device) -> Suffix:
        """The same on a device: itself where it is there already."""
        if _same(device, self.device):
            return self
        start = {name: value.to(device) for name, value in self.start.items()}
        return replace(self, graph=moved(self.graph, device), start=start)

    def mean(self, tuned: Sequence[State]) -> State:
        """Of several trainings from the same start."""
        return {name: torch.stack([one[name] for one in tuned]).mean(0) for name in tuned[0]}

    def towards(self, tuned: Mapping[str, Tensor], share: float) -> State:
        """Tensors a share of the way to the tuned ones; a new layer has no start but its own."""
        return {
            name: torch.lerp(self.start[name].to(value), value, share)
            if name in self.start
            else value
            for name, value in tuned.items()
        }

    def fits(self, own: Mapping[str, Tensor]) -> bool:
        """Whether tensors are those of this part."""
        shapes = {name: value.shape for name, value in self.start.items()}
        return {name: value.shape for name, value in own.items()} == shapes

    def live(self, own: Mapping[str, Tensor]) -> nn.Module:
        """A graph with tensors of its own; what is not tuned is in memory once for all of them."""
        shared = {
            id(tensor): tensor
            for name, tensor in (*self.graph.named_parameters(), *self.graph.named_buffers())
            if name not in own
        }
        graph = copy.deepcopy(self.graph, shared).requires_grad_(False)
        for name, value in graph.named_parameters():
            if name in own:
                value.data = own[name]
        return graph

    def served(self, own: Mapping[str, Tensor]) -> nn.Module:
        """The same as quick as it can be of a picture or a few, by tensors as `for_serving`."""
        graph = self.live(own)
        return as_products(graph) if isinstance(graph, fx.GraphModule) else graph


def _same(one: torch.device, other: torch.device) -> bool:
    """`cuda` is any of a kind, as `cuda:0` is one of it."""
    return one.type == other.type and (one.index == other.index or None in (one.index, other.index))


def stacked(ids: Any, mask: Any) -> Tensor:
    """Tokens [n, 2, t]."""
    return torch.stack([torch.from_numpy(ids), torch.from_numpy(mask)], 1)


def for_serving(tensor: Tensor) -> Tensor:
    """The same numbers, laid out as `served` reads them: in memory once for every graph."""
    return by_input(laid_out(tensor))


def laid_out(x: Tensor) -> Tensor:
    """The same numbers, channels side by side: convolutions of few pictures take half the time."""
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x.contiguous()
