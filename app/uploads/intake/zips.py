"""Zip archives, read by their central directory and held to it.

What the directory says must be what the local headers say and what the bytes turn out to be:
members may not overlap, nor inflate to more than they declare. Layout: PKWARE APPNOTE 6.3.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

from app.core.errors import HeadstartError
from app.uploads.intake import codecs
from app.uploads.intake.archive import (
    CHUNK,
    Entry,
    Listing,
    bomb,
    check_ratio,
    corrupt,
    exactly,
    too_many,
)
from app.uploads.intake.limits import Limits
from app.uploads.intake.names import shown

END = struct.Struct("<4s4H2LH")
LOCATOR = struct.Struct("<4sLQL")
END64 = struct.Struct("<4sQ2H2L4Q")
CENTRAL = struct.Struct("<4s2B5HL2L5H2L")
LOCAL = struct.Struct("<4s5HL2L2H")
LENGTHS = struct.Struct("<3H")
ENCRYPTED = 1 | 1 << 6 | 1 << 13
DESCRIPTOR = 1 << 3
UTF8 = 1 << 11
AES = 99
FULL = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the central directory lies and how many members it speaks of."""

    offset: int
    size: int
    members: int


class ZipArchive:
    """The members of a zip; `entries` are checked before a byte of them is inflated."""

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        self._file = file
        self._limits = limits
        self.entries: list[Entry] = []
        directory = find_directory(file)
        if directory.members > limits.entries or directory.size > limits.directory_bytes:
            raise too_many(limits)
        self._read_directory(directory)

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """The member's bytes, checked against its declared size and CRC-32."""
        crc, size = 0, 0
        for data in codecs.inflate(entry, self._packed(entry)):
            size += len(data)
            if size > entry.size:
                raise bomb(f"more than the {entry.size:,} bytes it declares", entry.path)
            crc = zlib.crc32(data, crc)
            yield data
        if size != entry.size or crc != entry.crc:
            raise corrupt("its size or checksum is not what it declares", entry.path)

    def _packed(self, entry: Entry) -> Iterator[bytes]:
        for start in range(0, entry.packed, CHUNK):
            length = min(CHUNK, entry.packed - start)
            yield exactly(self._file, entry.offset + start, length)

    def _read_directory(self, directory: Directory) -> None:
        listing = Listing(self._limits)
        spans: list[tuple[int, int]] = [(directory.offset, 0)]
        begun: set[int] = set()
        for fields, name, extra in _records(self._file, directory, self._limits):
            told = _entry(listing, fields, name, extra)
            if told.offset in begun:
                raise _overlap()
            begun.add(told.offset)
            entry = self._located(told, name)
            spans.append((told.offset, entry.offset + entry.packed))
            if not entry.path.endswith("/"):
                check_ratio(entry.size, entry.packed, self._limits, entry.path)
                listing.add(entry)
        _check_overlap(spans)
        self.entries = sorted(listing.entries, key=lambda entry: entry.offset)

    def _located(self, entry: Entry, name: bytes) -> Entry:
        """The entry with the offset of its bytes, by its local header, which must agree."""
        header = exactly(self._file, entry.offset, LOCAL.size)
        magic, _, flags, method, _, _, crc, packed, size, length, more = LOCAL.unpack(header)
        if magic != b"PK\3\4" or self._file.read(length) != name:
            raise corrupt("a member's own header is not where the directory says", entry.path)
        if flags & ENCRYPTED:
            raise _encrypted(entry.path)
        told, known = (crc, packed, size), (entry.crc, entry.packed, entry.size)
        agree = told == known or _agree(told, known, loose=bool(flags & DESCRIPTOR))
        if method != entry.method or not agree:
            raise corrupt("its header and the directory disagree", entry.path)
        start = entry.offset + LOCAL.size + length + more
        return Entry(entry.path, entry.size, start, entry.packed, entry.method, entry.crc)


def find_directory(file: BinaryIO) -> Directory:
    """The central directory, by the record at the file's very end. Raises archive_corrupt."""
    length = file.seek(0, 2)
    tail_at = max(0, length - END.size - 0xFFFF)
    tail = exactly(file, tail_at, length - tail_at)
    at = tail.rfind(b"PK\5\6")
    while at >= 0:
        if len(tail) - at >= END.size:
            fields = END.unpack_from(tail, at)
            if at + END.size + fields[-1] == len(tail):
                return _directory(file, tail_at + at, fields)
        at = tail.rfind(b"PK\5\6", 0, at)
    raise corrupt("its directory is missing; was the upload cut short?")


def _directory(file: BinaryIO, end: int, fields: tuple[int, ...]) -> Directory:
    _, disk, first, here, members, size, offset, _ = fields
    if 0xFFFF in (disk, here, members) or FULL in (size, offset):
        found = _directory64(file, end)
        if found is not None:
            return found
    if disk or first or here != members:
        raise corrupt("it is one part of several")
    if offset + size != end:
        raise corrupt("its directory is not where it says")
    return Directory(offset, size, members)


def _directory64(file: BinaryIO, end: int) -> Directory | None:
    if end < LOCATOR.size + END64.size:
        return None
    magic, _, at, disks = LOCATOR.unpack(exactly(file, end - LOCATOR.size, LOCATOR.size))
    if magic != b"PK\6\7":
        return None
    if disks > 1 or at + END64.size != end - LOCATOR.size:
        raise corrupt("its 64-bit directory is not where it says")
    magic, _, _, _, disk, first, here, members, size, offset = END64.unpack(
        exactly(file, at, END64.size)
    )
    if magic != b"PK\6\6" or disk or first or here != members or offset + size != at:
        raise corrupt("its 64-bit directory is not where it says")
    return Directory(offset, size, members)


def _records(
    file: BinaryIO, directory: Directory, limits: Limits
) -> Iterator[tuple[tuple[int, ...], bytes, bytes]]:
    """The directory's records: fixed fields, name and extra field. Raises too_many_entries."""
    data = exactly(file, directory.offset, directory.size)
    starts = _starts(data, limits)
    if len(starts) & 0xFFFF != directory.members & 0xFFFF:
        raise corrupt("its directory does not have as many entries as it says")
    for at in starts:
        fields = CENTRAL.unpack_from(data, at)
        name_at = at + CENTRAL.size
        extra_at = name_at + fields[11]
        yield fields, data[name_at:extra_at], data[extra_at : extra_at + fields[12]]


def _starts(data: bytes, limits: Limits) -> list[int]:
    """Where the directory's records begin, found out before anything is done for one of them."""
    starts: list[int] = []
    at = 0
    while at < len(data):
        if data[at : at + 4] != b"PK\1\2" or len(data) - at < CENTRAL.size:
            raise corrupt("its directory is not readable")
        starts.append(at)
        if len(starts) > limits.entries:
            raise too_many(limits)
        name, extra, comment = LENGTHS.unpack_from(data, at + 28)
        at += CENTRAL.size + name + extra + comment
    if at > len(data):
        raise corrupt("its directory ends too early")
    return starts


def _entry(listing: Listing, fields: tuple[int, ...], name: bytes, extra: bytes) -> Entry:
    _, _, system, _, flags, method, _, _, crc, packed, size, *_, attributes, offset = fields
    path = listing.path(_decoded(name, flags))
    if flags & ENCRYPTED or method == AES:
        raise _encrypted(path)
    kind = stat.S_IFMT(attributes >> 16)
    if system in (3, 19) and kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise HeadstartError(
            "unsafe_member", f"{shown(path)} is a link or a device", param=shown(path)
        )
    size, packed, offset = _wide(extra, [size, packed, offset])
    if method not in codecs.METHODS:
        raise HeadstartError(
            "unsupported_member",
            f"{shown(path)} is packed by method {method}; use deflate",
            param=shown(path),
        )
    return Entry(path, size=size, offset=offset, packed=packed, method=method, crc=crc)


def _decoded(name: bytes, flags: int) -> str:
    """UTF-8, which most writers use whether they say so or not; else the zip's own code page."""
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        if flags & UTF8:
            raise HeadstartError("unsafe_name", "a member's name is not UTF-8") from error
        return name.decode("cp437")


def _wide(extra: bytes, values: list[int]) -> list[int]:
    """The values, those that do not fit 32 bits taken from the zip64 extra field."""
    if FULL not in values:
        return values
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            numbers = iter(struct.unpack(f"<{length // 8}Q", extra[at + 4 :][: length // 8 * 8]))
            return [next(numbers, FULL) if value == FULL else value for value in values]
        at += 4 + length
    return values


def _agree(local: tuple[int, ...], central: tuple[int, ...], *, loose: bool) -> bool:
    """Whether a local header's checksum and sizes are the directory's; with a descriptor after
    the data (`loose`) they may be left out, and large sizes stand in an extra field."""
    return all(
        told in (known, FULL) or (loose and told == 0)
        for told, known in zip(local, central, strict=True)
    )


def _check_overlap(spans: list[tuple[int, int]]) -> None:
    spans.sort()
    for (_, end), (start, _) in pairwise(spans):
        if end > start:
            raise _overlap()
    if spans[-1][1]:
        raise corrupt("a member lies behind the directory")


def _overlap() -> HeadstartError:
    return bomb("more than it holds: its members overlap")


def _encrypted(path: str) -> HeadstartError:
    return HeadstartError("archive_encrypted", f"{shown(path)} is encrypted", param=shown(path))
