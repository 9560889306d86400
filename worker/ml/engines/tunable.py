"""What a job at some depth tunes of a backbone, and what a model so tuned is served by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor, fx, nn

from app.core.backbones import BackboneSpec
from app.core.manifest import Modality
from app.core.modalities import Depth
from app.infra import weights
from worker.ml.backbones import adapters, cuts, kept_graphs
from worker.ml.backbones.adapters import AdaptedSuffix
from worker.ml.backbones.sources import described, fingerprint, image_network
from worker.ml.backbones.suffix import Cut, Suffix
from worker.ml.byte_cache import ByteCache
from worker.ml.engines import default_device
from worker.ml.engines.base import CUT_VERSION
from worker.ml.engines.texts import Encoder

if TYPE_CHECKING:
    from worker.ml.backbones.encoders import PooledEncoder

LAYERS = 6
"""Stages that a network of texts counts as; rates fall smoothly over its tensors."""
BUDGET = 2**29
"""Bytes of tensors of what is tuned, of all backbones and depths that a process keeps ready."""
_LIBRARIES = Lock()
"""For whoever traces, or loads what reads texts: both load half of torch, which threads must not
do at once, and tracing changes what is one for all of them.
"""
_Part = Literal["partial", "full"]
_TRIED = 7
"""Tokens of a text that shows what a pass reads."""


_HELD: ByteCache[tuple[str, Depth, Path | None, str], Suffix] = ByteCache(
    budget=BUDGET, size=lambda suffix: suffix.nbytes
)


class TokenNetwork(nn.Module):
    """Ids and mask, one tensor [n, 2, t] → float32 [n, d] of length one."""

    def __init__(self, network: PooledEncoder) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor) -> Tensor:
        embedded: Tensor = self.network(tokens[:, 0], tokens[:, 1])
        return embedded


def tunable(
    name: str, depth: Depth, weights_dir: Path | None, *, cache_dir: Path | None = None
) -> Suffix:
    """The part of a backbone that is tuned, on the CPU. What was cut out of a network is kept in
    `cache_dir`, where any process finds it. Raises cut_unavailable, and as a network that cannot
    be loaded.
    """
    return serving(name, depth, weights_dir, cache_dir=cache_dir, device="cpu")


def serving(
    name: str,
    depth: Depth,
    weights_dir: Path | None,
    *,
    cache_dir: Path | None = None,
    device: str | None = None,
) -> Suffix:
    """The same where the backbone's own engine computes: what one gives, the other reads. Made
    once a process, for all models, and of threads by one. Raises as `tunable`.
    """
    there = device or default_device()

    def make() -> Suffix:
        with torch.inference_mode(False):
            return _made(name, depth, weights_dir, cache_dir).on(torch.device(there))

    return _HELD.get((name, depth, weights_dir, there), make)


def is_full() -> bool:
    """Whether what this process keeps is as much as it may be."""
    return _HELD.nbytes >= BUDGET


def let_go() -> None:
    """Keep nothing that no head reads."""
    _HELD.clear()


def _made(name: str, depth: Depth, weights_dir: Path | None, cache_dir: Path | None) -> Suffix:
    spec = weights.get(name, weights_dir)
    if depth not in spec.depths:
        raise cuts.no_cut(name, f"{depth} tunes no such backbone")
    return _MADE[spec.modality](spec, depth, weights_dir, cache_dir)


def _of_pictures(
    spec: BackboneSpec, depth: Depth, weights_dir: Path | None, cache_dir: Path | None
) -> Suffix:
    def traced() -> Suffix:
        with _LIBRARIES:
            return _PICTURES[part](*image_network(spec.name, weights_dir))

    part: _Part = "partial" if depth == "partial" else "full"
    if cache_dir is None:
        found = traced()
    else:
        known = described(spec.name, weights_dir, cache_dir)
        file = _file(known, part, fingerprint(known, weights_dir), cache_dir)
        found = kept_graphs.kept(file, make=traced)
    return adapted(found) if depth == "lora" else found


def _file(spec: BackboneSpec, part: _Part, read_as: str, cache_dir: Path) -> Path:
    """Where the part of a network is kept: named by all that decides its graph and numbers."""
    told = (spec.name, part, read_as, repr(spec.layout), CUT_VERSION, kept_graphs.VERSION)
    name = hashlib.sha256("\0".join((*told, torch.__version__)).encode()).hexdigest()
    return cache_dir / f"{spec.name}-{part}-{name[:24]}.safetensors"


def _of_texts(
    spec: BackboneSpec, depth: Depth, weights_dir: Path | None, _cache_dir: Path | None
) -> Suffix:
    with _LIBRARIES:
        from worker.ml.backbones.encoders import text_network  # seconds, which few models need

    path = weights.require(spec, weights_dir).path
    encoder = Encoder(spec, path)
    network = text_network(path, encoder.pooling, layer=spec.layer)
    return text_suffix(network, encoder, depth)


_MADE: Mapping[Modality, Callable[[BackboneSpec, Depth, Path | None, Path | None], Suffix]] = {
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


_PICTURES: Mapping[_Part, Callable[..., Suffix]] = {"partial": cuts.suffix, "full": cuts.whole}


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
