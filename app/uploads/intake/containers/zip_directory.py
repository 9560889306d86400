"""Where a zip's central directory lies, and its records. Layout: PKWARE APPNOTE 6.3."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from app.uploads.intake.archive import corrupt, exactly, too_many
from app.uploads.intake.limits import Limits

END = struct.Struct("<4s4H2LH")
LOCATOR = struct.Struct("<4sLQL")
END64 = struct.Struct("<4sQ2H2L4Q")
CENTRAL = struct.Struct("<4s2B5HL2L5H2L")
LENGTHS = struct.Struct("<3H")
FULL = 0xFFFFFFFF
"""What a 32-bit field holds where a 64-bit one speaks for it."""
ZIP64 = 1


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the central directory lies and how many members it speaks of."""

    offset: int
    size: int
    members: int


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
    """By the plain record, or by the 64-bit one that some write beside values that would fit."""
    _, disk, first, here, members, size, offset, _ = fields
    found = _directory64(file, end)
    if found is not None:
        told = ((members, 0xFFFF, found.members), (size, FULL, found.size))
        if all(one in (full, known) for one, full, known in (*told, (offset, FULL, found.offset))):
            return found
        raise corrupt("its two end records disagree")
    if disk or first or here != members:
        raise corrupt("it is one part of several")
    if offset + size != end:
        raise corrupt("its directory is not where it says")
    return Directory(offset, size, members)


def _directory64(file: BinaryIO, end: int) -> Directory | None:
    """By the 64-bit end record; None where no locator lies right before the plain one."""
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


def records(
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


def extras(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """The records of a member's extra field: their kind and their data."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        yield kind, extra[at + 4 : at + 4 + length]
        at += 4 + length


def wide(extra: bytes, values: list[int]) -> list[int]:
    """The values, those that do not fit 32 bits taken from the zip64 extra field."""
    if FULL not in values:
        return values
    for kind, data in extras(extra):
        if kind == ZIP64:
            numbers = iter(struct.unpack(f"<{len(data) // 8}Q", data[: len(data) // 8 * 8]))
            return [next(numbers, FULL) if value == FULL else value for value in values]
    return values
