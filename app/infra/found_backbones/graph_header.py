"""Which side of pictures a graph file reads, by its own words: no runtime is asked, nothing is run.

ONNX, TensorFlow's `.pb` and SavedModels are protobuf, TFLite is a flatbuffer; of each only what
leads to the shapes of its inputs is looked at, and what is malformed says nothing.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

MOST_FIELDS = 500_000
"""That are looked at: the largest graphs have some ten thousand operations."""
_COLOURS = 3
_FLOAT, _HALF = 1, 10
"""Of `TensorProto.DataType`."""
_Span = tuple[int, int]
_Shape = list[int | None]
"""Lengths of axes; None where one may be any."""


def side(file: Path) -> int | None:
    """Of a square, in pixels; None where the file does not say one, or cannot be read."""
    try:
        state = file.stat()
        return _side(file, state.st_mtime_ns, state.st_size)
    except (OSError, ValueError, struct.error):
        return None


def unsaid_range(name: str) -> str:
    """What is missing where a graph reads floats."""
    return f'{name} reads floats: write {{"mean": […], "std": […]}} into {name}.json'


def reads_floats(file: Path) -> bool:
    """Whether an ONNX graph says that its pictures are floats, whose range nobody can guess."""
    if file.suffix != ".onnx":
        return False
    try:
        state = file.stat()
        return _reads_floats(file, state.st_mtime_ns, state.st_size)
    except (OSError, ValueError):
        return False


@lru_cache(maxsize=256)
def _reads_floats(file: Path, _mtime: int, size: int) -> bool:
    """Looked for once per change. Raises ValueError for what is malformed."""
    if not size:
        return False
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        wire = _Wire(data)
        tensors = [one for given in _given(wire) for one in wire.along(given, (2, 1))]
        shaped = [(wire.length(one, 1), _axes(wire, one)) for one in tensors]
        pictures = [number for number, shape in shaped if _edges(shape) is not None]
    return pictures[:1] in ([_FLOAT], [_HALF])


@lru_cache(maxsize=256)
def _side(file: Path, _mtime: int, size: int) -> int | None:
    """Looked for once per change. Raises ValueError and struct.error for what is malformed."""
    shapes = _SHAPES.get(file.name) or _SHAPES.get(file.suffix)
    if shapes is None or not size:
        return None
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = [edges for shape in shapes(data) if (edges := _edges(shape)) is not None]
    return found[0][0] if found and found[0][0] == found[0][1] else None


def _edges(shape: _Shape) -> tuple[int | None, int | None] | None:
    """Height and width of pictures, whose colours come last or first; None of anything else."""
    if len(shape) != 4 or _COLOURS not in (shape[1], shape[3]):
        return None
    at = 1 if shape[3] == _COLOURS else 2
    return shape[at], shape[at + 1]


class _Wire:
    """A message of protobuf, as its specification lays it out: number and kind, then the value."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.left = data, MOST_FIELDS
        self.all: _Span = (0, len(data))

    def fields(self, span: _Span) -> Iterator[tuple[int, int | _Span]]:
        """Each number with its value, or where its bytes are. Raises ValueError."""
        at, end = span
        while at < end:
            self.left -= 1
            if self.left < 0:
                raise ValueError("it has more fields than any network")
            key, at = self._number(at, end)
            value, at = self._value(key & 7, at, end)
            if at > end:
                raise ValueError("a field reaches beyond its message")
            yield key >> 3, value

    def _value(self, kind: int, at: int, end: int) -> tuple[int | _Span, int]:
        if kind == 0:
            return self._number(at, end)
        if kind == 2:
            length, at = self._number(at, end)
            return (at, at + length), at + length
        if kind in _FIXED:
            return (at, at + _FIXED[kind]), at + _FIXED[kind]
        raise ValueError("a field of no known kind")

    def _number(self, at: int, end: int) -> tuple[int, int]:
        value = 0
        for place in range(10):
            if at + place >= end:
                break
            byte = self.data[at + place]
            value |= (byte & 127) << 7 * place
            if byte < 128:
                return value, at + place + 1
        raise ValueError("a number without an end")

    def along(self, span: _Span, numbers: Sequence[int]) -> Iterator[_Span]:
        """Every message that these numbers lead to, one within the other."""
        if not numbers:
            yield span
            return
        for number, value in self.fields(span):
            if number == numbers[0] and isinstance(value, tuple):
                yield from self.along(value, numbers[1:])

    def texts(self, span: _Span, *numbers: int) -> Iterator[bytes]:
        """The bytes of each."""
        for start, end in self.along(span, numbers):
            yield self.data[start:end]

    def length(self, span: _Span, number: int) -> int | None:
        """Of an axis, where it is above 0; a negative one is any."""
        told = [value for key, value in self.fields(span) if key == number]
        found = told[-1] if told else 0
        return found if isinstance(found, int) and 0 < found < 2**31 else None


_FIXED = {1: 8, 5: 4}
"""Bytes of the kinds that are not as long as they say."""


def _onnx(data: mmap.mmap) -> Iterator[_Shape]:
    """Inputs of `ModelProto.graph` that are no tensors of the file, as older versions list them."""
    wire = _Wire(data)
    for given in _given(wire):
        for tensor in wire.along(given, (2, 1)):
            yield _axes(wire, tensor)


def _given(wire: _Wire) -> Iterator[_Span]:
    kept = set(wire.texts(wire.all, 7, 5, 8))
    for given in wire.along(wire.all, (7, 11)):
        if not kept.intersection(wire.texts(given, 1)):
            yield given


def _axes(wire: _Wire, tensor: _Span) -> _Shape:
    """Of a `TypeProto.Tensor`."""
    return [wire.length(axis, 1) for axis in wire.along(tensor, (2, 1))]


def _frozen(data: mmap.mmap) -> Iterator[_Shape]:
    """What stands in for pictures in `GraphDef.node`: the attribute `shape` of a Placeholder."""
    wire = _Wire(data)
    for node in wire.along(wire.all, (1,)):
        if b"Placeholder" in wire.texts(node, 2):
            for shape in wire.along(node, (5, 2, 7)):
                yield [wire.length(axis, 1) for axis in wire.along(shape, (2,))]


def _saved(data: mmap.mmap) -> Iterator[_Shape]:
    """`MetaGraphDef.signature_def`, the inputs of each."""
    wire = _Wire(data)
    for shape in wire.along(wire.all, (2, 5, 2, 1, 2, 3)):
        yield [wire.length(axis, 1) for axis in wire.along(shape, (2,))]


class _Flat:
    """A flatbuffer's tables: each begins with how far back it is listed where its fields are."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data

    def at(self, kind: str, place: int) -> int:
        """One number. Raises struct.error beyond the file."""
        if place < 0:
            raise ValueError("a place before the file")
        (value,) = struct.unpack_from(f"<{kind}", self.data, place)
        return int(value)

    def root(self) -> int:
        """Where the first table is."""
        return self.at("I", 0)

    def member(self, table: int, number: int) -> int | None:
        """Where what a field points to is; None where the table has no such field."""
        listed = table - self.at("i", table)
        if 4 + 2 * number >= self.at("H", listed):
            return None
        offset = self.at("H", listed + 4 + 2 * number)
        return table + offset + self.at("I", table + offset) if offset else None

    def vector(self, place: int | None) -> list[int]:
        """Numbers of 32 bits."""
        if place is None:
            return []
        count = self.at("I", place)
        return list(struct.unpack_from(f"<{count}i", self.data, place + 4)) if count < 2**16 else []

    def tables(self, place: int | None) -> list[int]:
        """Where each table of a vector is."""
        offsets = self.vector(place)
        return [(place or 0) + 4 + 4 * n + offset for n, offset in enumerate(offsets)]


def _tflite(data: mmap.mmap) -> Iterator[_Shape]:
    """Inputs of the first subgraph: by `shape_signature`, where there may be any, or `shape`."""
    flat = _Flat(data)
    for graph in flat.tables(flat.member(flat.root(), 2))[:1]:
        tensors = flat.tables(flat.member(graph, 0))
        for number in flat.vector(flat.member(graph, 1)):
            if 0 <= number < len(tensors):
                shapes = [flat.vector(flat.member(tensors[number], one)) for one in (7, 0)]
                told = next((shape for shape in shapes if shape), [])
                yield [axis if axis > 0 else None for axis in told]


_SHAPES: Mapping[str, Callable[[mmap.mmap], Iterator[_Shape]]] = {
    ".onnx": _onnx,
    ".pb": _frozen,
    "saved_model.pb": _saved,
    ".tflite": _tflite,
}
