"""Whether a file of weights is whole, by its head alone: a listing cannot load every network."""

from __future__ import annotations

import json
import mmap
import re
import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.core.errors import HeadstartError
from app.infra.found_backbones import gguf_header
from app.infra.found_backbones.settings_files import said

_LOCATION = re.compile(rb"\n\x08location\x12[\x01-\x7f]", re.DOTALL)
INDEX = "model.safetensors.index.json"
"""Says which of several files of a Hugging Face folder has which tensor (`weight_map`)."""
_NUMBERS = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"}
"""As the format calls them. Those of 8 bits and fewer that are floats need scales, which each
library keeps elsewhere: without them a network is another.
"""
IN_FLOATS = "save the network in float32, float16 or bfloat16, as it was before it was quantised"
MOST_HEADER = 16 * 2**20
"""Bytes of what lists tensors: a hundred thousand of them, more than any encoder has. The library
of safetensors takes six times of it, which would hold up all others while it is read.
"""


def check(file: Path) -> None:
    """Raises weights_invalid for a file that is empty, cut short, or none of its kind."""
    try:
        state = file.stat()
        damage = _damage(file, state.st_mtime_ns, state.st_size)
    except OSError as error:
        damage = said(error)
    if damage is not None:
        raise HeadstartError("weights_invalid", f"{file.name}: {damage}", param="model")
    for one in beside(file):
        if one.suffix == ".safetensors":
            check(one)


@lru_cache(maxsize=1024)
def _damage(file: Path, _mtime: int, size: int) -> str | None:
    """Looked for once per change."""
    if size == 0:
        return "the file is empty"
    look = _LOOKS.get(file.suffix)
    try:
        return None if look is None else look(file, size)
    except HeadstartError as error:
        return error.message
    except (ValueError, TypeError, KeyError, RecursionError, struct.error):
        return f"this is no {file.suffix[1:]} file, or it is damaged: copy it again"


def beside(file: Path) -> list[Path]:
    """Files in which an ONNX graph keeps tensors of its own (`external_data`, key `location`), or
    that an index of safetensors names.

    Raises weights_invalid for one that is missing, or lies elsewhere.
    """
    listing = _LISTINGS.get(file.name) or _LISTINGS.get(file.suffix)
    if listing is None:
        return []
    state = file.stat()
    found = [file.parent / name for name in listing(file, state.st_mtime_ns, state.st_size)]
    for path in found:
        if path.parent.resolve() != file.parent.resolve():
            told = f"{file.name} reads a file of another folder: save it with its data beside it"
            raise HeadstartError("weights_invalid", told, param="model")
        if not path.is_file():
            told = f"{file.name} keeps tensors in {path.name}, which is not here: put it beside it"
            raise HeadstartError("weights_invalid", told, param="model")
    return found


@lru_cache(maxsize=256)
def _locations(file: Path, _mtime: int, size: int) -> tuple[str, ...]:
    """The names as protobuf writes them: field 1 `location`, field 2 a text of under 128 bytes."""
    if size == 0:
        return ()
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = {
            data[one.end() : one.end() + data[one.end() - 1]].decode("utf-8", "replace")
            for one in _LOCATION.finditer(data)
        }
    return tuple(sorted(found))


def _shards(index: Path, mtime: int, size: int) -> tuple[str, ...]:
    """The files that an index names. Raises weights_invalid for what is no index."""
    found = _named(index, mtime, size)
    if isinstance(found, str):
        raise HeadstartError("weights_invalid", f"{index.name} {found}", param="model")
    return found


@lru_cache(maxsize=256)
def _named(index: Path, _mtime: int, size: int) -> tuple[str, ...] | str:
    """The names, or what is wrong with them."""
    if size > MOST_HEADER:
        return f"has {size:,} bytes: at most {MOST_HEADER:,} are read"
    try:
        named = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return "names no files of tensors: copy the folder again"
    if not named or not all(isinstance(one, str) and one.endswith(_TENSORS) for one in named):
        return "names other files than safetensors, or none: save the model again"
    return tuple(sorted(named))


_TENSORS = ".safetensors"
_LISTINGS: Mapping[str, Callable[[Path, int, int], tuple[str, ...]]] = {
    ".onnx": _locations,
    INDEX: _shards,
}


def _safetensors(file: Path, size: int) -> str | None:
    """Of the format's specification: a length, a JSON object, then the tensors without gaps."""
    with file.open("rb") as data:
        (length,) = struct.unpack("<Q", data.read(8))
        if not 2 <= length <= size - 8:
            return "this is no safetensors file, or it is cut short"
        if length > MOST_HEADER:
            return f"its list of tensors has {length:,} bytes: at most {MOST_HEADER:,} are read"
        told: dict[str, Any] = json.loads(data.read(length))
    ends = [one["data_offsets"][1] for name, one in told.items() if name != "__metadata__"]
    for name, one in told.items():
        if name != "__metadata__" and one["dtype"] not in _NUMBERS:
            return f"{name} is of numbers {one['dtype']}, which are not read: {IN_FLOATS}"
    whole = 8 + length + max(ends, default=0)
    if not ends:
        return "it holds no tensor"
    return None if size == whole else f"it has {size} bytes instead of {whole}: copy it again"


def _gguf(file: Path, _size: int) -> str | None:
    gguf_header.stated(file)
    return None


_LOOKS: Mapping[str, Callable[[Path, int], str | None]] = {
    ".safetensors": _safetensors,
    ".gguf": _gguf,
}
