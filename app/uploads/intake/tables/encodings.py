"""A table's bytes as UTF-8 with line ends that the readers know, whatever wrote it."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Literal

from app.core.errors import HeadstartError
from app.uploads.intake.archive import bomb
from app.uploads.intake.limits import Limits
from app.uploads.intake.tables.source import TableFile

Encoding = Literal[
    "utf-8",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "windows-1253",
    "windows-1254",
    "windows-1256",
    "iso-8859-1",
    "iso-8859-2",
    "iso-8859-15",
    "koi8-r",
    "macintosh",
    "shift_jis",
    "euc-jp",
    "gb18030",
    "big5",
    "euc-kr",
]
"""What a caller may say that a table is in."""
PYTHONS = {"macintosh": "mac_roman"}
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""The byte order marks, the longer ones first where one begins with another."""
HEAD = 64 * 1024


@contextmanager
def opened(table: TableFile) -> Iterator[BinaryIO]:
    """The file as UTF-8, rewritten beside the original only where that takes more than reading.

    Raises encoding or archive_bomb.
    """
    with table.path.open("rb") as source:
        head = source.read(HEAD)
        encoding = table.encoding or guess(head)
        source.seek(0)
        if encoding == "utf-8" and not _ends_in_cr(head):
            yield source
            return
        target = table.path.with_name(table.path.name + ".utf8")
        try:
            with target.open("w+b") as out:
                _rewrite(source, out, encoding=encoding, table=table)
                out.seek(0)
                yield out
        finally:
            target.unlink(missing_ok=True)


def guess(head: bytes) -> str:
    """`utf-8` unless a byte order mark or the places of NULs say that it is UTF-16 or UTF-32."""
    for mark, name in MARKS:
        if head.startswith(mark):
            return name
    some = head[:512]
    even, odd = some[::2].count(0), some[1::2].count(0)
    most = 0.4 * len(some) / 2
    if odd > most and even <= odd // 8:
        return "utf-16-le"
    return "utf-16-be" if even > most and odd <= even // 8 else "utf-8"


def _ends_in_cr(head: bytes) -> bool:
    """Whether the first line ends as those of old Macintoshes do."""
    at = head.find(b"\r")
    return at >= 0 and b"\n" not in head[: at + 2]


def _rewrite(source: BinaryIO, out: BinaryIO, *, encoding: str, table: TableFile) -> None:
    inner = codecs.getincrementaldecoder(PYTHONS.get(encoding, encoding))()
    decoder = io.IncrementalNewlineDecoder(inner, translate=True)
    written = 0
    while True:
        data = source.read(HEAD)
        try:
            text = decoder.decode(data, final=not data)
            written += out.write(text.encode())
        except UnicodeError as error:
            raise _undecodable(table, encoding) from error
        _check_size(written, table.limits)
        if not data:
            return


def _check_size(written: int, limits: Limits) -> None:
    if written > limits.unpacked_bytes:
        raise bomb(f"more than {limits.unpacked_bytes:,} bytes")


def _undecodable(table: TableFile, encoding: str) -> HeadstartError:
    why = f"{table.name} is not readable as {encoding}; save it as UTF-8"
    return HeadstartError("encoding", why, param=table.name)


def not_utf8(byte: int, line: bytes) -> str:
    """What is wrong at `byte` (from 1) of a line, and what it may be instead."""
    said = f"byte {byte} is not UTF-8"
    try:
        likely = line.decode("windows-1252")
    except UnicodeDecodeError:
        return f"{said}; save the table as UTF-8, or send its `encoding`"
    around = likely[max(0, byte - 12) : byte + 11].strip()
    return (
        f"{said}; as Windows-1252 it would be {around!r}: if that is right send "
        "encoding=windows-1252, else save the table as UTF-8"
    )
