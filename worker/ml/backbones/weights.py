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
_READ = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.int16, torch.bool, *_BYTES,
)  # fmt: skip
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
    return _checked(_unwrapped(state, path.name), path.name)


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


_WRAPPED = {"state_dict", "model_state_dict", "model", "net", "network"}
"""What trainers call the network's tensors beside an epoch and an optimizer's state."""


def _unwrapped(state: object, file: str) -> object:
    """The tensors of a checkpoint; all that is there where it is none. Raises weights_invalid."""
    parts = state if isinstance(state, Mapping) else {}
    named = [str(key) for key, part in parts.items() if _are_tensors(part)]
    if len(named) > 1:
        told = f"{file} holds several networks ({', '.join(named)}): save the tensors of one alone"
        raise HeadstartError("weights_invalid", told)
    return parts[named[0]] if named and named[0] in _WRAPPED else state


def _are_tensors(part: object) -> bool:
    if not isinstance(part, Mapping):
        return False
    return bool(part) and all(isinstance(one, Tensor) for one in part.values())


def _checked(state: object, file: str) -> State:
    if not isinstance(state, Mapping) or not state:
        raise HeadstartError("weights_invalid", f"{file} holds no named tensors.")
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor):
            raise HeadstartError("weights_invalid", f"{file}: {name} is not a tensor.")
        if (told := _unread(tensor)) is not None:
            raise HeadstartError("weights_invalid", f"{file}: {name} is {told}: {whole.IN_FLOATS}")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise HeadstartError("weights_invalid", f"{file}: {name} has NaN or infinite numbers.")
    return dict(state)


def _unread(tensor: Tensor) -> str | None:
    """What is said of numbers that are not the network's own, or not all of them."""
    if tensor.dtype not in _READ:
        return f"of numbers {str(tensor.dtype).removeprefix('torch.')}, which are not read"
    quantised = tensor.dtype in _BYTES and tensor.ndim > 1
    return "whole numbers of 8 bits, whose scales are not read" if quantised else None
