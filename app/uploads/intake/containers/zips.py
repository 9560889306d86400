"""Zip archives, read by their central directory and held to it.

What the directory says must be what the local headers say and what the bytes turn out to be:
members may not overlap, nor inflate to more than they declare. Layout: PKWARE APPNOTE 6.3.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import BinaryIO

from app.core.errors import HeadstartError
from app.uploads.intake import code_pages
from app.uploads.intake.archive import (
    CHUNK,
    OF_MEMBERS,
    Entry,
    Listing,
    bomb,
    check_ratio,
    corrupt,
    exactly,
    too_many,
)
from app.uploads.intake.code_pages import CodePage
from app.uploads.intake.containers import codecs
from app.uploads.intake.containers.zip_directory import (
    FULL,
    Directory,
    extras,
    find_directory,
    records,
    wide,
)
from app.uploads.intake.limits import IntakeOptions
from app.uploads.intake.names import is_junk, shown
from app.uploads.intake.refusals import Refusals

LOCAL = struct.Struct("<4s5HL2L2H")
ENCRYPTED = 1 | 1 << 6 | 1 << 13
DESCRIPTOR = 1 << 3
UTF8 = 1 << 11
AES = 99
UNICODE_PATH = 0x7075
WINDOWS = frozenset({0, 6, 10, 11, 14})
"""Systems, by the number in `made by`, whose writers may have \\ between folders (libarchive and
Info-ZIP read it so, too) and flag the names that they write in UTF-8."""


class ZipArchive:
    """The members of a zip; `entries` are checked before a byte of them is inflated."""

    def __init__(self, file: BinaryIO, options: IntakeOptions, refusals: Refusals) -> None:
        self._file = file
        self._limits = limits = options.limits
        directory = find_directory(file)
        if directory.members > limits.entries or directory.size > limits.directory_bytes:
            raise too_many(limits)
        self.page = self._judge(directory, options.filename_encoding)
        listing = self._read_directory(directory, refusals)
        self.entries = sorted(listing.entries, key=lambda entry: entry.offset)
        self.folders = listing.folders

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

    def _judge(self, directory: Directory, asked: str | None) -> CodePage:
        """The code page of all names that state none."""
        unsaid, of_windows = set[bytes](), False
        for fields, name, extra in records(self._file, directory, self._limits):
            if not name.isascii() and not fields[4] & UTF8 and unicode_path(name, extra) is None:
                unsaid.add(name)
                of_windows = of_windows or fields[2] in WINDOWS
        return code_pages.judge(sorted(unsaid), asked=asked, of_windows=of_windows)

    def _read_directory(self, directory: Directory, refusals: Refusals) -> Listing:
        listing = Listing(self._limits)
        spans: list[tuple[int, int]] = [(directory.offset, 0)]
        begun: set[int] = set()
        for fields, name, extra in records(self._file, directory, self._limits):
            listing.count(name)
            told = self._told(fields, extra)
            if told.offset in begun:
                raise _overlap()
            begun.add(told.offset)
            with refusals.collecting(OF_MEMBERS):
                path = listing.path(self._name(fields, name, extra))
                _check_member(path, fields)
                entry = self._located(replace(told, path=path), name)
                spans.append((told.offset, entry.offset + entry.packed))
                check_ratio(entry.size, entry.packed, self._limits, path)
                listing.add(entry)
        _check_overlap(spans)
        return listing

    @staticmethod
    def _told(fields: tuple[int, ...], extra: bytes) -> Entry:
        """The member by its record, yet without a name; its offset is that of its header."""
        _, _, _, _, _, method, _, _, crc, packed, size, *_, offset = fields
        size, packed, offset = wide(extra, [size, packed, offset])
        return Entry("", size=size, offset=offset, packed=packed, method=method, crc=crc)

    def _name(self, fields: tuple[int, ...], name: bytes, extra: bytes) -> str:
        """The member's name by the page that it states, else by the page of them all.

        The \\ of writers that say they are of Windows is a /. Raises unsafe_name, invalid_value.
        """
        text = code_pages.decoded(name, "utf-8") if fields[4] & UTF8 else unicode_path(name, extra)
        if text is None and fields[4] & UTF8:
            raise HeadstartError("unsafe_name", "a member's name is not UTF-8")
        if text is None:
            text = self.page.decode(name)
        return text.replace("\\", "/") if fields[2] in WINDOWS and "/" not in text else text

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


def unicode_path(name: bytes, extra: bytes) -> str | None:
    """The name by Info-ZIP's Unicode Path field, if there is one and it is of this very name."""
    for kind, data in extras(extra):
        if kind == UNICODE_PATH and data[:5] == struct.pack("<BL", 1, zlib.crc32(name)):
            return code_pages.decoded(data[5:], "utf-8")
    return None


def _check_member(path: str, fields: tuple[int, ...]) -> None:
    """Raises archive_encrypted, unsafe_member or unsupported_member."""
    if fields[4] & ENCRYPTED or fields[5] == AES:
        raise _encrypted(path)
    kind = stat.S_IFMT(fields[16] >> 16)
    of_unix = fields[2] in (3, 19) and not is_junk(path)
    if of_unix and kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        why = f"{shown(path)} is a link or a device"
        raise HeadstartError("unsafe_member", why, param=shown(path))
    if fields[5] not in codecs.METHODS:
        why = f"{shown(path)} is packed by method {fields[5]}; use deflate"
        raise HeadstartError("unsupported_member", why, param=shown(path))


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
