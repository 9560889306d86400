"""The head of a GGUF file: what it says of its network, its tokens, and where its tensors lie.

Little endian, versions 2 and 3, as the specification in ggml's docs/gguf.md has them. Nothing that
is read is believed: lengths beyond the file's end, nested lists and unknown types are refused.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.core.errors import HeadstartError
from app.infra.found_backbones.settings_files import said

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_AXES = 4
MOST_ENTRIES = 2**20
"""Of a list. The largest vocabularies have a quarter of a million tokens, and twice the merges."""
_ALIGNMENT = "general.alignment"
_NUMBERS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
_STRING, _LIST = 8, 9


@dataclass(frozen=True)
class PackedTensor:
    """A tensor as the file lists it: rows last, as numpy has them; `start` counts from byte 0."""

    shape: tuple[int, ...]
    kind: int
    start: int


@dataclass(frozen=True)
class GgufHeader:
    """What a file says before its numbers."""

    told: dict[str, Any]
    tensors: dict[str, PackedTensor]

    @property
    def family(self) -> str:
        """The architecture by ggml's name, such as `llama`."""
        return str(self.told.get("general.architecture", ""))

    @property
    def licence(self) -> str | None:
        """As its author wrote it."""
        stated = self.told.get("general.license")
        return stated if isinstance(stated, str) and len(stated) <= 200 else None

    def own(self, key: str) -> Any:
        """What is said of this architecture under `key`; None where nothing is."""
        return self.told.get(f"{self.family}.{key}")

    def count(self, key: str) -> int:
        """A number above 0 said of this architecture. Raises ValueError."""
        value = self.own(key)
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{self.family}.{key} is {value!r}")
        return value


@dataclass(frozen=True)
class Stated:
    """What a listing needs: numbers of an embedding, tokens at most, a licence if one is named."""

    width: int
    window: int
    licence: str | None


def header(path: Path) -> GgufHeader:
    """Raises weights_invalid for what is no GGUF, or is cut short."""
    try:
        if path.stat().st_size < 24:
            raise ValueError("this is no GGUF file")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(data).header()
    except (OSError, ValueError, OverflowError, struct.error) as error:
        raise HeadstartError("weights_invalid", f"{path.name}: {said(error)}") from error


def stated(path: Path) -> Stated:
    """What the file says of itself, read once per change. Raises weights_invalid."""
    try:
        state = path.stat()
    except OSError as error:
        raise HeadstartError("weights_invalid", f"{path.name}: {said(error)}") from error
    found = _stated(path, state.st_mtime_ns, state.st_size)
    if isinstance(found, str):
        raise HeadstartError("weights_invalid", found)
    return found


@lru_cache(maxsize=256)
def _stated(path: Path, _mtime: int, _size: int) -> Stated | str:
    """What it says, or what is wrong with it."""
    try:
        read = header(path)
        return Stated(read.count("embedding_length"), read.count("context_length"), read.licence)
    except HeadstartError as error:
        return error.message
    except ValueError as error:
        return f"{path.name}: {said(error)}"


class _Reader:
    """Goes through the file once, from its first byte."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data, self._at = data, 0

    def header(self) -> GgufHeader:
        magic, version, tensors, pairs = self._take("<4sIQQ")
        if magic != MAGIC or version not in VERSIONS:
            raise ValueError("this is no GGUF file of version 2 or 3, little endian")
        told = {self._text(): self._value(self._number("I")) for _ in range(self._few(pairs))}
        listed = [(self._text(), *self._tensor()) for _ in range(self._few(tensors))]
        step = told.get(_ALIGNMENT, 32)
        if not isinstance(step, int) or step < 1:
            raise ValueError(f"{_ALIGNMENT} is {step!r}")
        begin = -(-self._at // step) * step
        placed = {n: PackedTensor(shape, kind, begin + at) for n, shape, kind, at in listed}
        if any(tensor.start >= len(self._data) for tensor in placed.values()):
            raise ValueError("the file is cut short")
        return GgufHeader(told, placed)

    def _tensor(self) -> tuple[tuple[int, ...], int, int]:
        axes = self._number("I")
        if not 1 <= axes <= MOST_AXES:
            raise ValueError(f"a tensor has {axes} axes")
        shape = self._take(f"<{axes}Q")
        return shape[::-1], self._number("I"), self._number("Q")

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._text()
        if kind != _LIST:
            return self._number(_code(kind))
        inside, count = self._number("I"), self._few(self._number("Q"))
        if count > MOST_ENTRIES:
            raise ValueError(f"a list has {count} entries, more than any vocabulary")
        if inside == _STRING:
            return [self._text() for _ in range(count)]
        return list(self._take(f"<{count}{_code(inside)}"))

    def _text(self) -> str:
        length = self._few(self._number("Q"))
        start, self._at = self._at, self._at + length
        return self._data[start : self._at].decode("utf-8", "replace")

    def _few(self, count: int) -> int:
        """Nothing takes less than a byte."""
        if count > len(self._data) - self._at:
            raise ValueError("the file is cut short")
        return count

    def _number(self, code: str) -> Any:
        return self._take(f"<{code}")[0]

    def _take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return values


def _code(kind: int) -> str:
    if kind not in _NUMBERS:
        raise ValueError(f"a value is of type {kind}")
    return _NUMBERS[kind]
