"""CSV, JSONL and Parquet as rows, read one by one: no row is held that is longer than allowed."""

from __future__ import annotations

import csv
import errno
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import from_json

from app.core.errors import HeadstartError
from app.uploads.intake.archive import too_many
from app.uploads.intake.limits import Kind, Limits
from app.uploads.intake.names import shown
from app.uploads.intake.rows import Row

CHILD = Path(__file__).with_name("parquet_child.py")
BOM = b"\xef\xbb\xbf"
Reader = Callable[[BinaryIO, str, Limits], Iterator[Row]]
csv.field_size_limit(64 * 1024 * 1024)  # for the whole process; rows are limited here instead


def read(
    path: Path, kind: Kind, *, name: str, limits: Limits, needed: str = "label"
) -> Iterator[Row]:
    """The rows of the table at `path`, called `name` in messages, with the column `needed`.

    Raises schema_mismatch, encoding, row_too_large, invalid_json, too_many_entries, and for
    Parquet archive_corrupt or archive_bomb.
    """
    shown_name = shown(name)
    if kind == "parquet":
        rows = _parquet(path, shown_name, limits, needed)
    elif kind == "csv":
        rows = _opened(path, partial(_csv, needed=needed), shown_name, limits)
    else:
        rows = _opened(path, _jsonl, shown_name, limits)
    for count, row in enumerate(rows):
        if count >= limits.entries:
            raise too_many(limits)
        yield row


def _opened(path: Path, reader: Reader, name: str, limits: Limits) -> Iterator[Row]:
    with path.open("rb") as file:
        yield from reader(file, name, limits)


def _lines(file: BinaryIO, name: str, limits: Limits) -> Iterator[tuple[int, str]]:
    """Numbered lines with their ends, decoded. Raises encoding, row_too_large, invalid_value."""
    number = 0
    while line := file.readline(limits.row_bytes + 1):
        number += 1
        if len(line) > limits.row_bytes:
            raise row_too_large(Row(name, number, {}), limits)
        if b"\0" in line and not line.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise Row(name, number, {}).error("invalid_value", "it has a NUL character")
        try:
            yield number, (line.removeprefix(BOM) if number == 1 else line).decode()
        except UnicodeDecodeError as error:
            why = f"byte {error.start + 1} is not UTF-8"
            raise Row(name, number, {}).error("encoding", why) from error


def row_too_large(row: Row, limits: Limits) -> HeadstartError:
    """The row has more bytes than `limits`."""
    return row.error("row_too_large", f"it has more than {limits.row_bytes:,} bytes")


def _csv(file: BinaryIO, name: str, limits: Limits, *, needed: str) -> Iterator[Row]:
    lines = _CountedLines(_lines(file, name, limits), limits)
    header = next(lines, "")
    delimiter = max(",;\t", key=lambda mark: len(_cells(header, mark)))
    columns = [column.strip().lower() for column in _cells(header, delimiter)]
    _check_columns(columns, name, needed)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    number = 1
    while True:
        number += 1
        row = Row(name, number, {})
        lines.begin(row)
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise row.error("schema_mismatch", f"it is not readable: {error}") from error
        if cells is None:
            return
        if not cells:
            continue
        if len(cells) != len(columns):
            why = f"it has {len(cells)} cells, the header {len(columns)}"
            raise row.error("schema_mismatch", why)
        yield Row(name, number, dict(zip(columns, cells, strict=True)))


class _CountedLines:
    """Lines for the CSV reader, which may join several into one row: but not too many."""

    def __init__(self, lines: Iterator[tuple[int, str]], limits: Limits) -> None:
        self._lines = lines
        self._limits = limits
        self._row = Row("", 1, {})
        self._left = limits.row_bytes

    def begin(self, row: Row) -> None:
        self._row = row
        self._left = self._limits.row_bytes

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        _, line = next(self._lines)
        self._left -= len(line)
        if self._left < 0:
            raise row_too_large(self._row, self._limits)
        return line


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _check_columns(columns: list[str], name: str, needed: str) -> None:
    header = Row(name, 1, {})
    if needed not in columns:
        found = ", ".join(shown(column, 30) for column in columns[:10])
        raise header.error("schema_mismatch", f"the header has no `{needed}`; it has: {found}")
    twice = next((column for column, count in Counter(columns).items() if count > 1), None)
    if twice is not None:
        raise header.error("schema_mismatch", f"the header has {shown(twice, 30)!r} twice")


def _jsonl(file: BinaryIO, name: str, limits: Limits) -> Iterator[Row]:
    for number, line in _lines(file, name, limits):
        if line.strip():
            yield Row(name, number, json_object(Row(name, number, {}), line))


def json_object(row: Row, line: str) -> dict[str, Any]:
    """The object on one line. Raises invalid_json or schema_mismatch."""
    try:
        value = from_json(line, allow_inf_nan=False)
    except ValueError as error:
        raise row.error("invalid_json", f"it is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise row.error("schema_mismatch", "it is not a JSON object")
    return value


def _parquet(path: Path, name: str, limits: Limits, needed: str) -> Iterator[Row]:
    """Parquet's rows, by way of JSONL that a child process writes within its own limits.

    The format's reader is a large native library: its faults and its memory stay over there.
    """
    rows = path.with_name(path.name + ".rows")
    bounds = json.dumps({**_bounds(limits), "needed": needed})
    command = [sys.executable, "-I", str(CHILD), str(path), str(rows), bounds]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and script
            command,
            capture_output=True,
            check=False,
            timeout=2 * limits.child_seconds,
            env=_child_environment(),
        )
        if done.returncode:
            raise _child_error(done.returncode, done.stderr, name)
        yield from _opened(rows, _jsonl, name, limits)
    except subprocess.TimeoutExpired as error:
        raise HeadstartError("archive_bomb", f"{name} takes too long to read") from error
    finally:
        rows.unlink(missing_ok=True)


def _child_environment() -> dict[str, str]:
    """Nothing of ours (no addresses, no credentials) and little memory reserved ahead."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "MALLOC_ARENA_MAX": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}


def _bounds(limits: Limits) -> dict[str, int]:
    return {
        "rows": limits.entries + 1,
        "seconds": limits.child_seconds,
        "memory": limits.child_bytes,
        "file": limits.unpacked_bytes,
    }


def _child_error(status: int, said: bytes, name: str) -> HeadstartError:
    """What the child said, or what its death says: it ran into a limit of its own."""
    try:
        told = from_json(said)
        code, why = told["code"], told["message"]
    except (ValueError, KeyError, TypeError):
        if status < 0:
            return HeadstartError("archive_bomb", f"{name} needs too much memory or time")
        raise RuntimeError(f"the Parquet child failed: {said[-2000:]!r}") from None
    if code == "storage_full":
        raise OSError(errno.ENOSPC, why)
    return HeadstartError(code, f"{name}: {why}", param=name)
