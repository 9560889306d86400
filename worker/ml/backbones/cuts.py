"""Where a network is cut for tuning: what lies before stays frozen and runs once a picture.

The activations at the cut are kept like embeddings; what lies behind, the suffix, is written down
by torch.export from the whole network, so that any network whose levels are known can be cut.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn

from app.core.backbones import BackboneSpec
from app.core.errors import HeadstartError
from app.core.modalities import Depth
from worker.ml.backbones.folding import fold_norms
from worker.ml.backbones.suffix import STAGE, Cut, Suffix, laid_out
from worker.ml.backbones.taps import tensor_of

if TYPE_CHECKING:
    from worker.ml.backbones.networks import Pyramid

_log = logging.getLogger(__name__)
MOST = 4096
"""Pictures in one batch, at most: torch.export wants a bound."""
BEFORE_ALL = -1
WHOLE_STAGE = 0.75
"""A stage's rate in those of the stage behind it, where all are tuned."""
_SIZE = torch.ops.aten.sym_size.int


class CutNetwork(nn.Module):
    """uint8 [n, s, s, 3] → float [n, D + width]: the vector, and behind it what is at the cut."""

    def __init__(self, network: Pyramid, cut: Cut) -> None:
        super().__init__()
        self.network = network
        self._level = cut.level

    def forward(self, pixels: Tensor) -> Tensor:
        vector, activations = _watched(self.network, self._level, pixels)
        return torch.cat([vector, activations.flatten(1).float()], 1)


def cut_network(spec: BackboneSpec, network: Pyramid, depth: Depth = "partial") -> CutNetwork:
    """The network that tells what is at its cut, too. Raises cut_unavailable."""
    cut = find(spec, network) if depth == "partial" else before_all(spec)
    return CutNetwork(network, cut).eval()


def find(spec: BackboneSpec, network: Pyramid) -> Cut:
    """Behind the last level before resolution is halved for the last time; where it never is,
    before the last quarter of the blocks. Raises cut_unavailable.
    """
    shapes = _shapes(network, spec)
    maps = [(level, places) for level, shape in shapes.items() if (places := _places(shape)) > 1]
    if len(maps) < 2:
        raise no_cut(spec.name, "it has no two levels that are maps")
    finer = [level for level, places in maps if places > maps[-1][1]]
    level = finer[-1] if finer else maps[-2][0]
    return Cut(level=level, shape=shapes[level])


def suffix(spec: BackboneSpec, network: Pyramid) -> Suffix:
    """The part of a network behind its cut. Raises cut_unavailable."""
    return _from(spec, network, find(spec, network), decay=STAGE)


def whole(spec: BackboneSpec, network: Pyramid) -> Suffix:
    """All of a network, from the pixels on. Raises cut_unavailable."""
    return _from(spec, network, before_all(spec), decay=WHOLE_STAGE)


def before_all(spec: BackboneSpec) -> Cut:
    """Where nothing lies before it: activations are the pixels."""
    return Cut(level=BEFORE_ALL, shape=(spec.input_size, spec.input_size, 3))


def _from(spec: BackboneSpec, network: Pyramid, cut: Cut, *, decay: float) -> Suffix:
    with warnings.catch_warnings(), torch.inference_mode(False):
        warnings.simplefilter("ignore")
        try:
            whole = _exported(spec, network, cut)
        except Exception as error:  # a tracer may raise anything on code that it does not follow
            _log.warning("%s cannot be followed by torch.export: %s", spec.name, error)
            why = "its code cannot be written down as a graph; it may decide by its numbers what it"
            more = "does: take a method that leaves the network as it is"
            raise no_cut(spec.name, f"{why} {more}") from error
    graph = _behind(spec, whole)
    fold_norms(graph)
    start = {key: laid_out(value.detach()) for key, value in graph.named_parameters()}
    return Suffix(cut, graph, start, stages=len(network.levels) - 1 - cut.level, decay=decay)


def no_cut(name: str, why: str) -> HeadstartError:
    """The error that says why a network cannot be tuned."""
    told = f"{name} cannot be tuned in part: {' '.join(why.split())[:300]}"
    return HeadstartError("cut_unavailable", told, param="model")


def _watched(network: Pyramid, level: int, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """The vectors, and what the level gives: copied, as what follows may write into its memory."""
    if level == BEFORE_ALL:
        return network(pixels), pixels.clone()
    seen: list[Tensor] = []

    def note(_module: nn.Module, _given: Any, gave: Any) -> None:
        found = tensor_of(gave)
        assert found is not None
        seen.append(found.clone())

    hook = network.levels[level].register_forward_hook(note)
    try:
        return network(pixels), seen[0]
    finally:
        hook.remove()


def _shapes(network: Pyramid, spec: BackboneSpec) -> dict[int, tuple[int, ...]]:
    """Of one picture, what each level gives."""
    device, side = network.mean.device, spec.input_size
    pixels = torch.zeros(2, side, side, 3, dtype=torch.uint8, device=device)
    with torch.no_grad():
        given = [_watched(network, level, pixels)[1] for level in range(len(network.levels))]
    return {level: tuple(x.shape[1:]) for level, x in enumerate(given)}


def _places(shape: tuple[int, ...]) -> int:
    """Of a map [c, h, w] or [h, w, c], or tokens [t, c]; one of a vector."""
    if len(shape) == 3:
        return shape[1] * (shape[2] if shape[1] == shape[2] else shape[0])
    return shape[0] if len(shape) == 2 else 1


class _Both(nn.Module):
    """uint8 pixels → (what is at the cut, the whole vector [n, D])."""

    def __init__(self, network: Pyramid, cut: Cut) -> None:
        super().__init__()
        self.network = network
        self._level = cut.level

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        vector, activations = _watched(self.network, self._level, pixels)
        return activations, vector


def _exported(spec: BackboneSpec, network: Pyramid, cut: Cut) -> fx.GraphModule:
    pixels = torch.zeros(3, spec.input_size, spec.input_size, 3, dtype=torch.uint8)
    pictures = torch.export.Dim("pictures", min=1, max=MOST)
    both = _Both(network, cut).eval()
    program = torch.export.export(both, (pixels,), dynamic_shapes=({0: pictures},))
    whole: Any = program.module()
    return whole  # type: ignore[no-any-return]


def _behind(spec: BackboneSpec, whole: fx.GraphModule) -> fx.GraphModule:
    """The graph from the cut on. Raises cut_unavailable where something leads around the cut."""
    copied, vector = next(iter(whole.graph.find_nodes(op="output"))).args[0]
    at, result = copied.args[0], _block(spec, vector)
    kept = fx.Graph()
    activations = kept.placeholder("activations")
    made: dict[fx.Node, fx.Node] = {at: activations}
    needed = set(_needed(result, stop=at)) - {at}
    for node in (node for node in whole.graph.nodes if node in needed):
        if node.op == "placeholder":
            raise no_cut(spec.name, "something leads around the cut")
        if _counts_pictures(node):
            made[node] = kept.call_function(_SIZE, (activations, 0))
        else:
            made[node] = kept.node_copy(node, made.__getitem__)
    kept.output(made[result])
    return fx.GraphModule(whole, kept)


def _block(spec: BackboneSpec, vector: fx.Node) -> fx.Node:
    """The last layer's embedding among the blocks of which the vector is made."""
    blocks: Any = vector.args[0]
    found: fx.Node = blocks[spec.layout.index(spec.last)]
    return found


def _needed(result: fx.Node, *, stop: fx.Node) -> Iterable[fx.Node]:
    """What `result` is computed from, back to `stop`."""
    waiting, seen = [result], {stop}
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if not _counts_pictures(node):
            waiting.extend(node.all_input_nodes)
    return seen


def _counts_pictures(node: fx.Node) -> bool:
    """Whether it asks how large a batch is: of anything before the cut that is the same."""
    return bool(node.target is _SIZE and node.args[1] == 0)
