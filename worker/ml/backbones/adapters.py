"""Low-rank adapters beside the layers of a network that stays as it is (LoRA, Hu et al. 2021).

A layer W x becomes W x + 2 B A x, of which A [r, in] and B [out, r] alone are tuned; B is zero at
first, so that training begins at the pretrained network. All layers that multiply have one, those
of attention and those between alike (Dettmers et al. 2023, section 4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.functional import linear

from worker.ml.backbones.suffix import State, Suffix

RANK = 8
SCALE = 2.0
A, B = "lora_a", "lora_b"
_SEED = 0
_LINEAR = torch.ops.aten.linear.default
_CONV = torch.ops.aten.conv2d.default
_GROUPS = 6
"""The place of the number of groups among a convolution's arguments."""


@dataclass(frozen=True)
class AdaptedSuffix(Suffix):
    """A part of a network of which nothing is tuned but adapters, which may have any rank."""

    def ranked(self, rank: int) -> AdaptedSuffix:
        """To be tuned from fresh adapters of this rank."""
        shapes = {name: value.shape for name, value in self.start.items()}
        return replace(self, start=_fresh(shapes, rank))

    def mean(self, tuned: Sequence[State]) -> State:
        """Exactly that of what the adapters add: side by side, at their share of the sum."""
        made: State = {}
        for name in tuned[0]:
            every = [one[name] for one in tuned]
            if name.endswith(A):
                made[name] = torch.cat(every)
            elif name.endswith(B):
                made[name] = torch.cat(every, 1) / len(every)
            else:
                made[name] = torch.stack(every).mean(0)
        return made

    def towards(self, tuned: Mapping[str, Tensor], share: float) -> State:
        """A share of what the adapters add: the pretrained network is that of none."""
        return {name: share * value if name.endswith(B) else value for name, value in tuned.items()}

    def fits(self, own: Mapping[str, Tensor]) -> bool:
        """Whether adapters are those of these layers, whatever their rank."""
        if own.keys() != self.start.keys():
            return False
        return all(_alike(value, own[name], own, name) for name, value in self.start.items())


def _alike(ours: Tensor, theirs: Tensor, own: Mapping[str, Tensor], name: str) -> bool:
    if ours.dim() != theirs.dim():
        return False
    if name.endswith(A):
        return ours.shape[1:] == theirs.shape[1:]
    rank = own[name.removesuffix(B) + A].shape[0]
    return theirs.shape[0] == ours.shape[0] and theirs.shape[1] == rank


def _fresh(shapes: Mapping[str, torch.Size], rank: int) -> State:
    """A drawn as a layer's weights are, always the same; B zero."""
    draw = torch.Generator().manual_seed(_SEED)
    made: State = {}
    for name, shape in shapes.items():
        if name.endswith(A):
            bound = 1 / math.sqrt(shape[1:].numel())
            value = torch.empty(rank, *shape[1:]).uniform_(-bound, bound, generator=draw)
        else:
            value = torch.zeros(shape[0], rank, *shape[2:])
        made[name] = value
    return made


class AdaptedLayer(nn.Module):
    """A layer [n, in] → [n, out] and its adapter."""

    def __init__(self, layer: nn.Module, width: int, out: int) -> None:
        super().__init__()
        self.layer = layer
        self.lora_a = nn.Parameter(torch.zeros(RANK, width))
        self.lora_b = nn.Parameter(torch.zeros(out, RANK))

    @property
    def weight(self) -> Tensor:
        """The layer's own: networks ask its number format before they call the layer (T5)."""
        return cast("Tensor", self.layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        own: Tensor = self.layer(x)
        return own + SCALE * linear(linear(x, self.lora_a), self.lora_b)


def adapt_modules(module: nn.Module, run: Callable[[], Any]) -> None:
    """Give each linear layer that `run` calls an adapter; what reads a layer's weights without
    calling it goes on without.
    """
    for name, layer in _called(module, run):
        width, out = _sizes(layer)
        where, _, leaf = name.rpartition(".")
        setattr(module.get_submodule(where), leaf, AdaptedLayer(layer, width, out))


def _called(module: nn.Module, run: Callable[[], Any]) -> list[tuple[str, nn.Module]]:
    seen: set[int] = set()
    layers = [(name, one) for name, one in module.named_modules() if _is_linear(one)]
    hooks = [
        one.register_forward_hook(lambda layer, _given, _gave: seen.add(id(layer)))
        for _, one in layers
    ]
    run()
    for hook in hooks:
        hook.remove()
    return [(name, one) for name, one in layers if id(one) in seen]


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


def _sizes(layer: Any) -> tuple[int, int]:
    """Width in and out; GPT-2's layers have their weights the other way round."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    width, out = layer.weight.shape
    return int(width), int(out)


def adapt_graph(graph: fx.GraphModule) -> None:
    """Give each linear layer and each convolution of one group in an exported graph an adapter."""
    for number, node in enumerate(list(graph.graph.nodes)):
        if node.target in (_LINEAR, _CONV) and _multiplies(node):
            _beside(graph, node, f"layer_{number}_")
    graph.recompile()


def _multiplies(node: fx.Node) -> bool:
    weight: Any = node.args[1]
    grouped = node.target is _CONV and len(node.args) > _GROUPS and node.args[_GROUPS] != 1
    return weight.op == "get_attr" and not grouped


def _beside(graph: fx.GraphModule, node: fx.Node, prefix: str) -> None:
    """What the node gives, and what its adapter adds."""
    weight = _parameter(graph, str(node.args[1].target))  # type: ignore[union-attr]
    out, width, *window = weight.shape
    square = [1] * len(window)
    graph.register_parameter(prefix + A, nn.Parameter(weight.new_zeros(RANK, width, *window)))
    graph.register_parameter(prefix + B, nn.Parameter(weight.new_zeros(out, RANK, *square)))
    call: Any = node.target
    with graph.graph.inserting_after(node):
        into = graph.graph.get_attr(prefix + A)
    with graph.graph.inserting_after(into):
        back = graph.graph.get_attr(prefix + B)
    with graph.graph.inserting_after(back):
        low = graph.graph.call_function(call, (node.args[0], into, None, *node.args[3:]))
    with graph.graph.inserting_after(low):
        wide = graph.graph.call_function(call, (low, back))
    with graph.graph.inserting_after(wide):
        scaled = graph.graph.call_function(torch.ops.aten.mul.Tensor, (wide, SCALE))
    with graph.graph.inserting_after(scaled):
        total = graph.graph.call_function(torch.ops.aten.add.Tensor, (node, scaled))
    node.replace_all_uses_with(total, delete_user_cb=lambda user: user is not total)


def _parameter(module: nn.Module, name: str) -> Tensor:
    where, _, leaf = name.rpartition(".")
    found: Tensor = getattr(module.get_submodule(where), leaf)
    return found


def adapters(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """By name, in the order in which a pass reads them."""
    for name, value in module.named_parameters():
        if name.endswith((A, B)):
            yield name, value.detach()
