"""Whether a file of weights is whole, by its head alone: a listing cannot load every network."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.core.errors import HeadstartError
from app.infra.found_backbones import gguf_header

MOST_HEADER = 100_000_000
"""Bytes of a safetensors file's head, as its own library bounds it."""


def check(file: Path) -> None:
    """Raises weights_invalid for a file that is empty, cut short, or none of its kind."""
    try:
        state = file.stat()
        damage = _damage(file, state.st_mtime_ns, state.st_size)
    except OSError as error:
        damage = str(error)
    if damage is not None:
        raise HeadstartError("weights_invalid", f"{file.name}: {damage}", param="model")


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
    except (ValueError, TypeError, KeyError, struct.error) as error:
        return f"this is no {file.suffix[1:]} file: {error}"


def _safetensors(file: Path, size: int) -> str | None:
    """Of the format's specification: a length, a JSON object, then the tensors without gaps."""
    with file.open("rb") as data:
        (length,) = struct.unpack("<Q", data.read(8))
        if not 2 <= length <= min(MOST_HEADER, size - 8):
            return "this is no safetensors file, or it is cut short"
        told: dict[str, Any] = json.loads(data.read(length))
    ends = [one["data_offsets"][1] for name, one in told.items() if name != "__metadata__"]
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
