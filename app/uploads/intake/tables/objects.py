"""JSON objects as rows: one a line, or in one list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from pydantic_core import from_json

from app.core.errors import HeadstartError
from app.core.json_objects import DoubledNameError, check_names
from app.uploads.intake.rows import Row
from app.uploads.intake.tables import columns, dialects, json_stream, label_studio
from app.uploads.intake.tables.ahead import looked_ahead
from app.uploads.intake.tables.dialects.boxes import BoxedRows
from app.uploads.intake.tables.lines import numbered
from app.uploads.intake.tables.source import TableFile

Numbered = Iterator[tuple[Row, dict[str, Any]]]
READ = (
    'a list of objects such as [{"text": …, "label": …}], one object a line, or what Label '
    "Studio and doccano export"
)

BESIDE = ("meta", "metadata", "entities", "relations")
"""What rows may have beside what is read."""


def lines(file: BinaryIO, table: TableFile) -> Iterator[Row]:
    """The objects on the lines. Raises the codes of bad rows, invalid_json or schema_mismatch."""
    yield from _rows(_of_lines(file, table), table)


def document(file: BinaryIO, table: TableFile) -> Iterator[Row]:
    """The objects of a `.json`, which has one list of them, or one a line. Raises as `lines`."""
    start = _start(file)
    if start == b"[":
        yield from _rows(_of_list(file, table), table)
    elif start == b"{" and _is_one_a_line(file, table):
        yield from lines(file, table)
    else:
        said = "it is nested" if start == b"{" else "it is no JSON that holds examples"
        if b'"annotations"' in _head(file) and b'"images"' in _head(file):
            said = "it looks like COCO, whose pictures must be beside it in a zip"
        raise HeadstartError(
            "schema_mismatch", f"{table.name}: {said}; what is read is {READ}", param=table.name
        )


def has_tasks(file: BinaryIO) -> bool:
    """Whether a list has Label Studio's tasks, the file being at its start again."""
    head = _head(file)
    return any(f'"{name}"'.encode() in head for name in label_studio.ANNOTATIONS) and (
        b'"data"' in head and b'"result"' in head
    )


def _rows(found: Numbered, table: TableFile) -> Iterator[Row]:
    """Rows by role; the first object decides which of its keys has which."""
    seen, every = looked_ahead(found, lambda told: len(repr(told[1])))
    if not seen:
        next(every, None)
        return
    row, first = seen[0]
    if label_studio.is_task(first):
        yield from label_studio.rows(every, table)
        return
    read = dialects.converter(first, table.columns.get("label"))
    first, sample = dialects.converted(row, first, read), [value for _, value in seen[1:]]
    sample = [first, *(_tried(value, read) for value in sample)]
    every = _plain_rows(every, table, read)
    names = columns.find(table, list(first), number=row.number, sample=sample)
    for row, value in every:
        yield names.read(row, value)
    names.tell_unmarked(table)


def _plain_rows(found: Numbered, table: TableFile, read: dialects.Converter | None) -> Numbered:
    """The plain rows, of boxes one each where those are asked for; else they are told."""
    boxed, boxes = 0, BoxedRows(table)
    for row, value in found:
        plain = dialects.converted(row, value, read)
        has_boxes = table.paths and dialects.may_have_boxes(value)
        if has_boxes and table.crops:
            yield from ((row, one) for one in boxes.of(row, value, plain))
            continue
        boxed += has_boxes and dialects.is_boxed(value)
        yield row, plain
    boxes.tell()
    if boxed:
        said = f"{table.name}: {boxed} picture(s) have the labels of their boxes"
        table.warn("boxes_whole", f"{said}; boxes=crops makes each box an example")


def _tried(value: dict[str, Any], read: dialects.Converter | None) -> dict[str, Any]:
    """The plain row, or one of nothing: what is wrong with it is said when it is met."""
    try:
        return dialects.converted(Row("", 0, {}), value, read)
    except HeadstartError:
        return {}


def plain(file: BinaryIO, table: TableFile) -> Iterator[dict[str, Any]]:
    """The objects on the lines, or of the list, as plain rows. Raises as `lines`."""
    found = _of_list(file, table) if _start(file) == b"[" else _of_lines(file, table)
    read: dialects.Converter | None = None
    for count, (row, value) in enumerate(found):
        read = read if count else dialects.converter(value, table.columns.get("label"))
        yield dialects.converted(row, value, read)


def _of_lines(file: BinaryIO, table: TableFile) -> Numbered:
    for number, line in numbered(file, table):
        if line.strip():
            row = Row(table.name, number, {})
            yield row, parsed(row, line)


def _of_list(file: BinaryIO, table: TableFile) -> Numbered:
    for _, number, value in json_stream.elements(file, table.name, table.limits):
        row = Row(table.name, number, {})
        if not isinstance(value, dict):
            raise row.error("schema_mismatch", f"it is not a JSON object; what is read is {READ}")
        yield row, value


def parsed(row: Row, line: str) -> dict[str, Any]:
    """The object on one line, which says each name once. Raises invalid_json or
    schema_mismatch."""
    value = written(row, line)
    try:
        check_names(line)
    except DoubledNameError as error:
        raise row.error("invalid_json", str(error)) from error
    return value


def written(row: Row, line: str) -> dict[str, Any]:
    """The object on a line that a program of our own may have written. Raises as `parsed`."""
    try:
        value = from_json(line.rstrip(), allow_inf_nan=False)
    except ValueError as error:
        raise row.error("invalid_json", f"it is not JSON: {_reason(str(error))}") from error
    if not isinstance(value, dict):
        raise row.error("schema_mismatch", "it is not a JSON object")
    return value


def _reason(said: str) -> str:
    """What the parser says of a line, which is the only one it knows."""
    what, _, place = said.partition(" at line 1 column ")
    what = what.replace("EOF while parsing", "the line ends within")
    if what == "trailing characters":
        what = "one object a line is read (files that are joined need a line end between them), and"
        return f"{what} another begins or something follows at character {place}"
    return f"{what} at character {place}" if place else what


def _head(file: BinaryIO) -> bytes:
    head = file.read(1 << 20)
    file.seek(0)
    return head


def _start(file: BinaryIO) -> bytes:
    """The first byte that is no blank, the file being at its start again."""
    return _head(file)[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()[:1]


def _is_one_a_line(file: BinaryIO, table: TableFile) -> bool:
    """Whether the first line is an object of its own that is not the whole of a nested one."""
    line = file.readline(table.limits.row_bytes)
    file.seek(0)
    try:
        value = from_json(line.removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        return False
    if not isinstance(value, dict):
        return False
    known = label_studio.is_task(value) or dialects.converter(value) is not None
    return known or not any(map(_is_nested, value.items()))


def _is_nested(told: tuple[str, Any]) -> bool:
    """A list of objects or an object under a key that no row has."""
    key, value = told
    if key in columns.READ_ANYWAY or key in BESIDE:
        return False
    inner = value[:1] if isinstance(value, list) else [value]
    return any(isinstance(one, Mapping) for one in inner)
