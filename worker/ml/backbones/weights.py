"""Pretrained weights: found, checked and read; never invented."""

from __future__ import annotations

import hashlib
import pickle
import tempfile
import urllib.error
import urllib.request
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from app.core.backbones import BackboneSpec, how_to_supply
from app.core.errors import HeadstartError
from app.infra.weights import Source, download_path, find, get, sha256, weights_file

DOWNLOAD_TIMEOUT = 20.0  # seconds without a byte
State = dict[str, Tensor]
DAMAGE = (
    SafetensorError, pickle.UnpicklingError, OSError, EOFError, RuntimeError, ValueError,
    LookupError, AttributeError, TypeError,
)  # fmt: skip
"""What the readers raise on files that are no weights: the restricted unpickler checks little."""


@dataclass(frozen=True)
class Weights:
    """A backbone's tensors, with the SHA-256 of their file and where it came from."""

    state: State
    sha256: str
    source: Source
    licence: str


def locate(spec: BackboneSpec, weights_dir: Path | None) -> Source:
    """Where the weights are, downloaded if need be. Raises `backbone_unavailable`."""
    return find(spec.name, weights_dir) or Source("download", _download(spec))


def weights(name: str, weights_dir: Path | None) -> Weights:
    """The tensors of `name`. Raises `backbone_unavailable` or `weights_invalid`."""
    spec = get(name, weights_dir)
    source = locate(spec, weights_dir)
    state = read(weights_file(source.path))
    return Weights(state, sha256(source.path), source, spec.licence)


def read(path: Path) -> State:
    """The finite tensors of a weights file. Raises `weights_invalid`."""
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _read_torch(path)
    except DAMAGE as error:
        raise HeadstartError("weights_invalid", f"{path.name}: {error}") from error
    return _checked(state, path.name)


def _read_torch(path: Path) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True)


def _checked(state: object, file: str) -> State:
    if not isinstance(state, Mapping) or not state:
        raise HeadstartError("weights_invalid", f"{file} holds no named tensors.")
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor):
            raise HeadstartError("weights_invalid", f"{file}: {name} is not a tensor.")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise HeadstartError("weights_invalid", f"{file}: {name} has NaN or infinite numbers.")
    return dict(state)


def _download(spec: BackboneSpec) -> Path:
    target = download_path(spec)
    if target is None or spec.url is None:
        raise HeadstartError("backbone_unavailable", how_to_supply(spec), param="model")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _fetch(spec.url, target)
    except (urllib.error.URLError, OSError) as error:
        message = f"{how_to_supply(spec)} The download failed: {error}."
        raise HeadstartError("backbone_unavailable", message, param="model") from error


def _fetch(url: str, target: Path) -> Path:
    """Download `url`, whose file name ends in the first digits of its SHA-256 (torch.hub's way)."""
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        part = Path(folder) / target.name
        with (
            urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT) as answer,  # noqa: S310
            part.open("wb") as file,
        ):
            while piece := answer.read(1 << 20):
                digest.update(piece)
                file.write(piece)
        if not digest.hexdigest().startswith(target.stem.rsplit("-", 1)[1]):
            raise HeadstartError("weights_invalid", f"{url} does not have its SHA-256.")
        return part.replace(target)
