"""A table's bytes as UTF-8 with line ends that the readers know, whatever wrote it."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from app.core.errors import HeadstartError
from app.uploads.intake.archive import bomb
from app.uploads.intake.limits import Limits
from app.uploads.intake.tables.source import TableFile
from app.uploads.text_encodings import codec, readings

OFFERED = (
    *("utf-8", "utf-16", "utf-16-le", "utf-16-be"),
    *("windows-1250", "windows-1251", "windows-1252", "windows-1253", "windows-1254"),
    *("windows-1256", "iso-8859-1", "iso-8859-2", "iso-8859-15", "koi8-r", "macintosh"),
    *("shift_jis", "euc-jp", "gb18030", "big5", "euc-kr"),
)
"""What the console offers; a caller may say any encoding of texts that Python knows."""
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""The byte order marks, the longer ones first where one begins with another."""
_SWAPPED = "\ufffe"
"""A byte order mark in the other order: no text has this character."""
HEAD = 64 * 1024
MOST_READINGS = 6
"""Encodings that a refusal names."""


@contextmanager
def opened(table: TableFile) -> Iterator[BinaryIO]:
    """The file as UTF-8, rewritten beside the original only where that takes more than reading.

    Raises encoding or archive_bomb.
    """
    with table.path.open("rb") as source:
        head = source.read(HEAD)
        encoding = codec(table.encoding).name if table.encoding else guess(head)
        source.seek(0)
        if encoding in ("utf-8", "utf-8-sig") and not _ends_in_cr(head):
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


def marked(head: bytes) -> str:
    """`utf-8` unless a byte order mark says another."""
    return next((name for mark, name in MARKS if head.startswith(mark)), "utf-8")


def guess(head: bytes) -> str:
    """`utf-8` unless a byte order mark or the places of NULs say that it is UTF-16 or UTF-32."""
    if any(head.startswith(mark) for mark, _ in MARKS):
        return marked(head)
    some = head[:512]
    even, odd = some[::2].count(0), some[1::2].count(0)
    most = 0.4 * len(some) / 2
    if odd > most and even <= odd // 8:
        return "utf-16-le"
    return "utf-16-be" if even > most and odd <= even // 8 else "utf-8"


def as_utf8(start: bytes) -> bytes:
    """The start of a file as UTF-8 without a byte order mark, where that or the places of NULs tell
    its encoding; as it is otherwise."""
    encoding = guess(start)
    if encoding == "utf-8":
        return start.removeprefix(codecs.BOM_UTF8)
    try:
        return codecs.getincrementaldecoder(encoding)().decode(start).lstrip("\ufeff").encode()
    except UnicodeError:
        return start


def _ends_in_cr(head: bytes) -> bool:
    """Whether the first line ends as those of old Macintoshes do."""
    at = head.find(b"\r")
    return at >= 0 and b"\n" not in head[: at + 2]


def _rewrite(source: BinaryIO, out: BinaryIO, *, encoding: str, table: TableFile) -> None:
    inner = codecs.getincrementaldecoder(encoding)()
    decoder = io.IncrementalNewlineDecoder(inner, translate=True)
    written = 0
    while True:
        data = source.read(HEAD)
        try:
            text = decoder.decode(data, final=not data)
            if _SWAPPED in text and "16" in encoding:
                raise _joined_otherwise(table)
            written += out.write(text.encode())
        except UnicodeError as error:
            raise _undecodable(table, encoding) from error
        _check_size(written, table.limits)
        if not data:
            return


def _check_size(written: int, limits: Limits) -> None:
    if written > limits.unpacked_bytes:
        raise bomb(f"more than {limits.unpacked_bytes:,} bytes")


def _joined_otherwise(table: TableFile) -> HeadstartError:
    why = f"{table.name} was joined of files in UTF-16 whose bytes are in different orders"
    return HeadstartError("encoding", f"{why}: save each as UTF-8 before", param=table.name)


def _undecodable(table: TableFile, encoding: str) -> HeadstartError:
    why = f"{table.name} is not readable as {encoding}; save it as UTF-8"
    return HeadstartError("encoding", why, param=table.name)


def not_utf8(byte: int, line: bytes, *, what: str = "table") -> str:
    """What is wrong at `byte` (from 1) of a line of a table or file, and what it may be instead."""
    said = f"byte {byte} is not UTF-8"
    likely = [(name, _around(byte, line, name)) for name, _ in readings(line)]
    if not likely:
        return f"{said}; save the {what} as UTF-8, or send its `encoding`"
    some = ", ".join(f"{text!r} in {name}" for name, text in likely[:MOST_READINGS])
    return (
        f"{said}; it would be {some}: send the one that is right, such as "
        f"encoding={likely[0][0]}, or save the {what} as UTF-8"
    )


def _around(byte: int, line: bytes, encoding: str) -> str:
    """A few characters around a byte of a line that is in `encoding`."""
    at = len(line[: byte - 1].decode(encoding, "ignore"))
    return line.decode(encoding)[max(0, at - 11) : at + 12].strip()
