"""Lines of a UTF-8 file, each bounded before it is held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from app.core.errors import HeadstartError
from app.uploads.intake.limits import Limits
from app.uploads.intake.rows import Row
from app.uploads.intake.tables.encodings import not_utf8
from app.uploads.intake.tables.source import TableFile

BOM = b"\xef\xbb\xbf"


def numbered(
    file: BinaryIO, table: TableFile, *, marked: bool = False
) -> Iterator[tuple[int, str]]:
    """Lines from 1 with their ends, without the byte order marks that they begin with, as the first
    does, and the first of each file that was joined to it; `marked`: with them, as a line within a
    cell may have one of its own. Raises encoding, row_too_large, invalid_value."""
    number = 0
    while line := file.readline(table.limits.row_bytes + 1):
        number += 1
        row = Row(table.name, number, {})
        if len(line) > table.limits.row_bytes:
            line = _with_picture(file, line, row, table)
        if b"\0" in line:
            raise row.error("invalid_value", "it has a NUL character")
        while line.startswith(BOM) and not marked:
            line = line.removeprefix(BOM)
        try:
            yield number, line.decode()
        except UnicodeDecodeError as error:
            raise row.error("encoding", not_utf8(error.start + 1, line)) from error


def _with_picture(file: BinaryIO, start: bytes, row: Row, table: TableFile) -> bytes:
    """The whole of a line that may be longer, as there is a picture in it as base64."""
    most = table.limits.row_bytes + 4 * table.limits.member_bytes // 3
    if table.kind != "jsonl" or b"data:image/" not in start:
        raise row_too_large(row, table.limits)
    line = start + (b"" if start.endswith(b"\n") else file.readline(most - len(start) + 1))
    if len(line) > most:
        raise row_too_large(row, table.limits)
    return line


def row_too_large(row: Row, limits: Limits) -> HeadstartError:
    """The row has more bytes than `limits`."""
    return row.error("row_too_large", f"it has more than {limits.row_bytes:,} bytes")
