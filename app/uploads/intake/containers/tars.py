"""Tar archives (ustar, GNU, pax), read header by header; only regular members and folders pass.

The standard library's reader loads an extended header of any length into memory and has been
led into loops and out of its filters by forged ones; this one follows a stated count of headers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from app.core.errors import HeadstartError
from app.uploads.intake import code_pages
from app.uploads.intake.archive import (
    CHUNK,
    OF_MEMBERS,
    Entry,
    Listing,
    corrupt,
    exactly,
    too_many,
)
from app.uploads.intake.limits import IntakeOptions
from app.uploads.intake.names import is_junk, shown
from app.uploads.intake.refusals import Refusals

BLOCK = 512
EXTENDED = 1024 * 1024
"""The longest extended header (a path, mostly) that is read."""
FILES = frozenset({b"0", b"\0", b"7"})
FOLDER = b"5"
Member = tuple[str | bytes, bytes, int, int]
"""Name (bytes where no header says that it is UTF-8), kind, size and offset."""


class TarArchive:
    """The members of an uncompressed tar; `entries` are checked before a member is read."""

    def __init__(self, file: BinaryIO, options: IntakeOptions, refusals: Refusals) -> None:
        self._file = file
        self._length = file.seek(0, 2)
        self._limits = options.limits
        listing = Listing(options.limits)
        members = list(self._counted(listing))
        unsaid = {name for name, *_ in members if isinstance(name, bytes) and not name.isascii()}
        self.page = code_pages.judge(sorted(unsaid), asked=options.filename_encoding)
        for name, kind, size, offset in members:
            with refusals.collecting(OF_MEMBERS):
                text = self.page.decode(name) if isinstance(name, bytes) else name
                folder = kind == FOLDER or (kind == b"\0" and text.endswith("/"))
                _check_kind(text, kind)
                path = listing.path(text + "/" if folder else text)
                listing.add(Entry(path, size=size, offset=offset))
        self.entries = listing.entries
        self.folders = listing.folders

    def _counted(self, listing: Listing) -> Iterator[Member]:
        """The members, their number and the bytes of their names counted as they are met."""
        for member in self._members():
            listing.count(member[0])
            yield member

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """The member's bytes."""
        for start in range(0, entry.size, CHUNK):
            yield exactly(self._file, entry.offset + start, min(CHUNK, entry.size - start))

    def _members(self) -> Iterator[Member]:
        """Name, kind, size and offset of each member, its extended headers applied."""
        at, told, headers = 0, dict[str, str | bytes](), 0
        while True:
            header = exactly(self._file, at, BLOCK)
            if not header.strip(b"\0"):
                return
            headers += 1
            if headers > 4 * self._limits.entries:
                raise too_many(self._limits)
            name, kind, size = _header(header)
            at += BLOCK
            extended = kind in b"xgLK"
            size = size if extended else _number(str(told.get("size", size)))
            end = at + -(-size // BLOCK) * BLOCK
            if end > self._length:
                raise corrupt("it ends inside a member; was the upload cut short?")
            if extended:
                told |= self._extended(kind, at, size)
            else:
                yield told.get("path", name), kind, size, at
                told = {}
            at = end

    def _extended(self, kind: bytes, at: int, size: int) -> dict[str, str | bytes]:
        """What an extended header says of the next member."""
        if size > EXTENDED:
            raise corrupt("an extended header is too long")
        data = exactly(self._file, at, size)
        if kind == b"L":
            return {"path": data.split(b"\0", 1)[0]}
        if kind == b"K":
            return {}
        told = _pax(data)
        if kind == b"g" and told:
            raise corrupt("one name or size for all its members")
        return dict(told)


def is_header(block: bytes) -> bool:
    """Whether `block` may begin a tar: a header whose checksum holds."""
    return len(block) >= BLOCK and _checksum_holds(block[:BLOCK])


def _checksum_holds(block: bytes) -> bool:
    try:
        told = _octal(block[148:156])
    except ValueError:
        return False
    return told == sum(block) - sum(block[148:156]) + 8 * 0x20


def _header(block: bytes) -> tuple[bytes, bytes, int]:
    """Name, kind and size of a header. Raises archive_corrupt."""
    if not _checksum_holds(block):
        raise corrupt("a header's checksum is wrong")
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0]
    if block[257:263] == b"ustar\0" and prefix:
        name = prefix + b"/" + name
    try:
        size = _octal(block[124:136])
    except ValueError as error:
        raise corrupt("a header's size is not a number") from error
    kind = block[156:157]
    return name, kind, size


def _octal(field: bytes) -> int:
    """A number in octal digits, or big-endian after a set bit. Raises ValueError."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = field.strip(b"\0 ")
    if not digits.isdigit() and digits:
        raise ValueError(field)
    return int(digits or b"0", 8)


def _pax(data: bytes) -> dict[str, str]:
    """The records that matter here: `path` and `size`. Raises unsafe_member for sparse files."""
    told: dict[str, str] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 9)
        length = _number(data[at : max(at, space)].decode("ascii", "replace"))
        key, equals, value = data[space + 1 : at + length - 1].partition(b"=")
        if not equals or at + length > len(data):
            raise corrupt("an extended header is not readable")
        if key.startswith(b"GNU.sparse"):
            raise HeadstartError("unsafe_member", "a member is stored with holes")
        if key in (b"path", b"size"):
            told[key.decode()] = _text(value)
        at += length
    return told


def _number(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise corrupt("a header's number is not readable")
    return int(digits)


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise HeadstartError("unsafe_name", "a member's name is not UTF-8") from error


def _check_kind(name: str, kind: bytes) -> None:
    if kind not in FILES and kind != FOLDER and not is_junk(name):
        raise HeadstartError(
            "unsafe_member", f"{shown(name)} is a link or a device", param=shown(name)
        )
