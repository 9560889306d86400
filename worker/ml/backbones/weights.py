"""Pretrained weights: found, checked and read; never invented."""

from __future__ import annotations

import logging
import pickle
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from app.core.errors import HeadstartError
from app.infra.found_backbones import whole
from app.infra.found_backbones.settings_files import said
from app.infra.weights import Source, get, require, sha256, weights_file

State = dict[str, Tensor]
DAMAGE = (
    SafetensorError, pickle.UnpicklingError, OSError, EOFError, RuntimeError, ValueError,
    LookupError, AttributeError, TypeError,
)  # fmt: skip
"""What the readers raise on files that are no weights: the restricted unpickler checks little."""

_BYTES = (torch.int8, torch.uint8)
_IN_FLOATS = "save the network in float32, float16 or bfloat16, as it was before it was quantised"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Weights:
    """A backbone's tensors, with the SHA-256 of their file and where it came from."""

    state: State
    sha256: str
    source: Source
    licence: str


def weights(name: str, weights_dir: Path | None) -> Weights:
    """The tensors of `name`. Raises `backbone_unavailable` or `weights_invalid`."""
    spec = get(name, weights_dir)
    source = require(spec, weights_dir)
    state = read(weights_file(source.path))
    return Weights(state, sha256(source.path), source, spec.licence)


def read(path: Path) -> State:
    """The finite tensors of a weights file. Raises `weights_invalid`."""
    try:
        state = _loaded(path)
    except DAMAGE as error:
        _log.warning("%s cannot be read: %s", path.name, said(error, path))
        raise HeadstartError("weights_invalid", f"{path.name}: {_damage(error, path)}") from error
    return _checked(state, path.name)


def _damage(error: BaseException, path: Path) -> str:
    """What to do: a library's own words are for whoever can change its caller."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if path.suffix == ".pth":
        kept = "torch.load(…, weights_only=True) and safetensors.torch.save_file"
        return f"it is damaged, or a pickle of more than tensors: save its tensors anew ({kept})"
    return "it is cut short or damaged: copy it again"


def _loaded(path: Path) -> object:
    """A pickle, or safetensors in one file or in several that an index names."""
    if path.name != whole.INDEX:
        return load_file(path) if path.suffix == ".safetensors" else _read_torch(path)
    return {name: value for part in whole.beside(path) for name, value in load_file(part).items()}


def read_hashed(path: Path, known: Sequence[str]) -> State:
    """As `read`; a pickle only if its SHA-256 begins as one of those that its library publishes.

    Raises `weights_invalid`.
    """
    if path.suffix == ".safetensors" or sha256(path).startswith(tuple(known)):
        return read(path)
    told = f"{path.name} is a pickle that its library does not publish: save it as .safetensors"
    raise HeadstartError("weights_invalid", told)


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
        if tensor.dtype in _BYTES and tensor.ndim > 1:
            told = f"{name} is whole numbers of 8 bits, whose scales are not read"
            raise HeadstartError("weights_invalid", f"{file}: {told}: {_IN_FLOATS}")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise HeadstartError("weights_invalid", f"{file}: {name} has NaN or infinite numbers.")
    return dict(state)
