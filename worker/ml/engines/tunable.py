"""What a job at some depth tunes of a backbone, and what a model so tuned is served by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, fx, nn

from app.core.backbones import BackboneSpec
from app.core.manifest import Modality
from app.core.modalities import Depth
from app.infra import weights
from worker.ml.backbones import adapters, cuts
from worker.ml.backbones.adapters import AdaptedSuffix
from worker.ml.backbones.sources import image_network
from worker.ml.backbones.suffix import Cut, Suffix
from worker.ml.engines import default_device
from worker.ml.engines.texts import Encoder

if TYPE_CHECKING:
    from worker.ml.backbones.encoders import PooledEncoder

LAYERS = 6
"""Stages that a network of texts counts as; rates fall smoothly over its tensors."""
_LOCK = Lock()
_TRIED = 7
"""Tokens of a text that shows what a pass reads."""


class TokenNetwork(nn.Module):
    """Ids and mask, one tensor [n, 2, t] → float32 [n, d] of length one."""

    def __init__(self, network: PooledEncoder) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor) -> Tensor:
        embedded: Tensor = self.network(tokens[:, 0], tokens[:, 1])
        return embedded


def tunable(name: str, depth: Depth, weights_dir: Path | None) -> Suffix:
    """The part of a backbone that is tuned, made once a process, on the CPU. Raises
    cut_unavailable, and as a network that cannot be loaded.
    """
    with _LOCK:  # a cache alone would have two threads make the same
        return _tunable(name, depth, weights_dir)


def serving(
    name: str, depth: Depth, weights_dir: Path | None, *, device: str | None = None
) -> Suffix:
    """The same where the backbone's own engine computes: what one gives, the other reads. Moved
    once a process, for all models. Raises as `tunable`.
    """
    there = device or default_device()
    with _LOCK:
        return _placed(name, depth, weights_dir, there)


@lru_cache(maxsize=4)
def _placed(name: str, depth: Depth, weights_dir: Path | None, device: str) -> Suffix:
    return _tunable(name, depth, weights_dir).on(torch.device(device))


@lru_cache(maxsize=4)
def _tunable(name: str, depth: Depth, weights_dir: Path | None) -> Suffix:
    spec = weights.get(name, weights_dir)
    if depth not in spec.depths:
        raise cuts.no_cut(name, f"{depth} tunes no such backbone")
    with torch.inference_mode(False):
        return _MADE[spec.modality](spec, depth, weights_dir)


def _of_pictures(spec: BackboneSpec, depth: Depth, weights_dir: Path | None) -> Suffix:
    return _PICTURES[depth](*image_network(spec.name, weights_dir))


def _of_texts(spec: BackboneSpec, depth: Depth, weights_dir: Path | None) -> Suffix:
    from worker.ml.backbones.encoders import text_network  # seconds, which few models need

    path = weights.require(spec, weights_dir).path
    encoder = Encoder(spec, path)
    network = text_network(path, encoder.pooling, layer=spec.layer)
    return text_suffix(network, encoder, depth)


_MADE: Mapping[Modality, Callable[[BackboneSpec, Depth, Path | None], Suffix]] = {
    "image": _of_pictures,
    "text": _of_texts,
}


def adapted(whole: Suffix) -> AdaptedSuffix:
    """Adapters beside the layers of a whole image network."""
    graph = cast("fx.GraphModule", whole.graph.requires_grad_(False))
    adapters.adapt_graph(graph)
    start = dict(adapters.adapters(graph))
    suffix = AdaptedSuffix(whole.cut, graph, start, stages=whole.stages, decay=1.0)
    return suffix.ranked(adapters.RANK)


_PICTURES: Mapping[Depth, Callable[..., Suffix]] = {
    "partial": cuts.suffix,
    "lora": lambda spec, network: adapted(cuts.whole(spec, network)),
    "full": cuts.whole,
}


def text_suffix(network: PooledEncoder, encoder: Any, depth: Depth) -> Suffix:
    """All layers of an encoder or decoder, or adapters beside them; tables of tokens stay."""
    module, cut = TokenNetwork(network), Cut(level=cuts.BEFORE_ALL, shape=())
    told: dict[str, Any] = {"stages": LAYERS, "encoder": encoder, "dim": module(_tokens()).shape[1]}
    if depth == "lora":
        adapters.adapt_modules(module, lambda: module(_tokens()))
    read = set(_read(module))
    if depth == "full":
        start = {name: one.detach() for name, one in module.named_parameters() if name in read}
        return Suffix(cut, module, start, decay=cuts.WHOLE_STAGE, **told)
    start = {name: one for name, one in adapters.adapters(module) if name in read}
    return AdaptedSuffix(cut, module, start, decay=1.0, **told).ranked(adapters.RANK)


def _tokens() -> Tensor:
    return torch.ones(1, 2, _TRIED, dtype=torch.long)


def _read(module: nn.Module) -> list[str]:
    """Names of the parameters that a pass reads, but those of tables."""
    tables = {id(one.weight) for one in module.modules() if isinstance(one, nn.Embedding)}
    module.requires_grad_(True)
    with torch.enable_grad():
        module(_tokens()).sum().backward()
    named = dict(module.named_parameters())
    read = [name for name, one in named.items() if one.grad is not None and id(one) not in tables]
    for one in named.values():
        one.grad = None
    module.requires_grad_(False)
    return read
