"""Unpacking in bounded steps: whole compressed streams, and the members of a zip."""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from app.core.errors import HeadstartError
from app.uploads.intake.archive import CHUNK, Entry, bomb, check_ratio, corrupt
from app.uploads.intake.limits import MIB, Limits

STEP = 64 * 1024
MEMORY = 80 * MIB
"""What a dictionary may take: enough for `xz -9`."""


class Decompressor(Protocol):
    """What bz2 and lzma share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class Inflater:
    """zlib in the manner of bz2 and lzma; `wbits` is -15 for raw deflate, 31 for gzip."""

    def __init__(self, wbits: int) -> None:
        self._inner = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = 0) -> bytes:
        """At most `max_length` bytes; what is left of `data` is used first by the next call."""
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


class ZipLzma:
    """LZMA as zip members have it: version, length and properties, then the raw stream."""

    def __init__(self) -> None:
        self._head = b""
        self._inner: lzma.LZMADecompressor | None = None

    @property
    def eof(self) -> bool:
        return self._inner is not None and self._inner.eof

    @property
    def needs_input(self) -> bool:
        return self._inner is None or self._inner.needs_input

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data if self._inner else b""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """At most `max_length` bytes. Raises LZMAError."""
        if self._inner is None:
            self._head += data
            if len(self._head) < 9:
                return b""
            self._inner, data = _raw_lzma(self._head[:9]), self._head[9:]
        return self._inner.decompress(data, max_length)


def _raw_lzma(head: bytes) -> lzma.LZMADecompressor:
    length, properties, dictionary = struct.unpack("<xxHBL", head)
    if length != 5 or properties >= 225 or dictionary > MEMORY:
        raise lzma.LZMAError("unusable properties")
    options = {
        "id": lzma.FILTER_LZMA1,
        "dict_size": max(4096, dictionary),
        "lc": properties % 9,
        "lp": properties // 9 % 5,
        "pb": properties // 45,
    }
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[options])


METHODS: dict[int, Callable[[], Decompressor] | None] = {
    0: None,
    8: lambda: Inflater(-15),
    12: bz2.BZ2Decompressor,
    14: ZipLzma,
}
STREAMS: dict[bytes, Callable[[], Decompressor]] = {
    b"\x1f\x8b": lambda: Inflater(31),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\0": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY),
}


def inflate(entry: Entry, packed: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes of a zip's member. Raises archive_corrupt."""
    make = METHODS[entry.method]
    if make is None:
        yield from packed
        return
    codec = make()
    try:
        for data in packed:
            yield from _steps(codec, data)
    except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
        raise corrupt("it does not unpack", entry.path) from error
    if codec.unused_data or not (codec.eof or entry.method == 14):
        raise corrupt("its packed data end too early or too late", entry.path)


def stream(magic: bytes) -> Callable[[], Decompressor] | None:
    """Which whole-file compression `magic` belongs to, if any."""
    return next((make for key, make in STREAMS.items() if magic.startswith(key)), None)


def unpack(source: BinaryIO, target: BinaryIO, *, limits: Limits) -> None:
    """Unpack a gzip, bzip2 or xz file, members of a concatenation one after the other.

    Raises archive_corrupt, archive_bomb.
    """
    source.seek(0)
    total = 0
    try:
        for data in _concatenated(source):
            total += len(data)
            if total > limits.unpacked_bytes:
                raise bomb(f"more than {limits.unpacked_bytes:,} bytes")
            check_ratio(total, source.tell(), limits)
            target.write(data)
    except (zlib.error, lzma.LZMAError, EOFError) as error:
        raise corrupt("it does not unpack") from error


def _concatenated(source: BinaryIO) -> Iterator[bytes]:
    data = source.read(STEP)
    members = 0
    while data.strip(b"\0"):
        members += 1
        make = stream(data)
        if make is None or members > 1000 + source.tell() // 1024:
            raise corrupt("something else follows the packed data")
        codec = make()
        while not codec.eof:
            yield from _steps(codec, data)
            data = codec.unused_data if codec.eof else _more(source)
        if len(data) < 16:
            data += source.read(STEP)


def _more(source: BinaryIO) -> bytes:
    data = source.read(STEP)
    if not data:
        raise EOFError
    return data


def _steps(codec: Decompressor, data: bytes) -> Iterator[bytes]:
    """What `data` unpack to, in pieces of a MiB at most."""
    if codec.eof:
        raise EOFError
    piece = codec.decompress(data, CHUNK)
    while piece:
        yield piece
        if codec.eof or (codec.needs_input and len(piece) < CHUNK):
            return
        piece = codec.decompress(b"", CHUNK)


def refuse_unknown(magic: bytes) -> HeadstartError | None:
    """The error for archives that are recognised but not read."""
    named = next((name for key, name in UNREAD.items() if magic.startswith(key)), None)
    if named is None:
        return None
    return HeadstartError(
        "not_an_archive", f"{named} is not read; send a zip, a tar, a tar.gz, .bz2 or .xz"
    )


UNREAD: dict[bytes, str] = {
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!\x1a\x07": "RAR",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\x04\x22\x4d\x18": "LZ4",
    b"MSCF": "Cabinet",
}
