"""Which backbones this machine has besides ours, and in which folder or package weights lie."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from app.core.backbones import (
    BACKBONES,
    JOINT,
    BackboneSpec,
    combined,
    how_to_supply,
    member_names,
    text_encoder,
)
from app.core.errors import HeadstartError

SUFFIXES = (".safetensors", ".pth")


class Availability(NamedTuple):
    """Whether a backbone's weights are on this machine, and why not."""

    available: bool
    reason: str | None


class Source(NamedTuple):
    """Where weights are: `kind` is folder, package or download (a past one)."""

    kind: Literal["folder", "package", "download"]
    path: Path


def registry(weights_dir: Path | None) -> dict[str, BackboneSpec]:
    """Every backbone known here: ours, and each Hugging Face encoder folder in `weights_dir`."""
    local = {spec.name: spec for spec in _local_encoders(weights_dir)}
    return {**local, **BACKBONES}


def get(name: str, weights_dir: Path | None = None) -> BackboneSpec:
    """The spec of `name`, or of several backbones `a+b`.

    Raises `unknown_backbone`, and what `combined` raises.
    """
    spec = BACKBONES.get(name) or registry(weights_dir).get(name)
    if spec is None and JOINT in name:
        return combined([get(one, weights_dir) for one in member_names(name)])
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
            yield text_encoder(config.parent.name, dim, licence="as its folder says")


def _hidden_size(config: Path) -> int | None:
    try:
        size = json.loads(config.read_text("utf-8")).get("hidden_size")
    except (OSError, ValueError, AttributeError):
        return None
    return size if isinstance(size, int) and size > 0 else None


def window(folder: Path) -> int:
    """The most tokens that a text encoder was made for, special ones included.

    RoBERTa-like position tables begin after the padding id; a packed file is a plain BERT, and says
    how many positions it has. Raises weights_invalid.
    """
    if folder.is_file():
        return _positions(folder)
    config = _settings(folder / "config.json")
    stated = _settings(folder / "sentence_bert_config.json").get("max_seq_length")
    table = int(config.get("max_position_embeddings") or 512)
    return min(int(stated or table), table - 1 - int(config.get("pad_token_id") or 0))


def _positions(packed: Path) -> int:
    """The sixth of seven sizes in the head of a packed file."""
    try:
        with packed.open("rb") as file:
            sizes = struct.unpack("<8x7i", file.read(36))
    except (OSError, struct.error) as error:
        raise HeadstartError("weights_invalid", f"{packed.name}: {error}") from error
    return int(sizes[5])


def _settings(file: Path) -> dict[str, Any]:
    """What a file of settings says; nothing where there is none."""
    if not file.is_file():
        return {}
    try:
        told = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise HeadstartError("weights_invalid", f"{file.name}: {error}") from error
    return told if isinstance(told, dict) else {}


def find(name: str, weights_dir: Path | None) -> Source | None:
    """Where the weights of `name` are: the weights folder, a package, a past download; or None."""
    spec = get(name, weights_dir)
    return _in_folder(spec, weights_dir) or _in_package(spec) or _in_cache(spec)


def _in_folder(spec: BackboneSpec, weights_dir: Path | None) -> Source | None:
    if weights_dir is None:
        return None
    path = _SUPPLIED[spec.modality](weights_dir / spec.name)
    return None if path is None else Source("folder", path)


def _supplied_file(named: Path) -> Path | None:
    files = (named.with_name(f"{named.name}{suffix}") for suffix in SUFFIXES)
    return next((path for path in files if path.is_file()), None)


def _supplied_folder(named: Path) -> Path | None:
    return named if weights_file(named).is_file() else None


_SUPPLIED: Mapping[str, Callable[[Path], Path | None]] = {
    "image": _supplied_file,
    "text": _supplied_folder,
}


def _in_package(spec: BackboneSpec) -> Source | None:
    if spec.package is None:
        return None
    module, inside = spec.package
    installed = importlib.util.find_spec(module)
    if installed is None or installed.origin is None:
        return None
    path = Path(installed.origin).parent / inside
    return Source("package", path) if path.exists() else None


def _in_cache(spec: BackboneSpec) -> Source | None:
    path = download_path(spec)
    return Source("download", path) if path is not None and path.is_file() else None


def download_path(spec: BackboneSpec) -> Path | None:
    """Where torch keeps what its own library has downloaded of these weights."""
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


def require_all(spec: BackboneSpec, weights_dir: Path | None) -> None:
    """Raises `backbone_unavailable` where weights of one of its parts are missing."""
    for one in spec.parts:
        require(one, weights_dir)


def require(spec: BackboneSpec, weights_dir: Path | None) -> Source:
    """Where the weights are. Raises `backbone_unavailable`, which says how to supply them."""
    source = find(spec.name, weights_dir)
    if source is None:
        raise HeadstartError("backbone_unavailable", how_to_supply(spec), param="model")
    return source


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
