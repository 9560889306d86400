"""CSV as spreadsheets write it, and TSV as data sets have it: with bare quotation marks."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from app.core.errors import HeadstartError
from app.uploads.intake.labels import pairs
from app.uploads.intake.rows import Row
from app.uploads.intake.tables import columns
from app.uploads.intake.tables.ahead import looked_ahead
from app.uploads.intake.tables.joined import MARK, Headers, is_other_header, tell_other
from app.uploads.intake.tables.lines import numbered, row_too_large
from app.uploads.intake.tables.roles import headless
from app.uploads.intake.tables.source import TableFile

SEPARATORS = ",;\t|"
_SEP = re.compile(r'"?sep=(.)"?[,;\t]*\r?\n?')
"""Excel's own first line, which says what separates the cells."""
_RETURN = re.compile(r"(?<=\r)(?!\n)")
"""Where a line ends in a carriage return alone, as those of old Macintoshes do."""
MOST_SUSPECTS = 1000
HEAD = 1 << 20
"""Bytes of a table that tell whether a blank follows its separators."""
csv.field_size_limit(64 * 1024 * 1024)  # for the whole process; rows are limited here instead
Record = tuple[Row, list[str], list[str]]
"""Which row it is, the lines that it is made of, its cells."""


def rows(file: BinaryIO, table: TableFile) -> Iterator[Row]:
    """The rows below the header. Raises schema_mismatch, encoding, row_too_large, invalid_value."""
    names, records = plain(file, table)
    header = next(records)[0]
    seen, records = looked_ahead(records, lambda record: sum(map(len, record[2])))
    sample = [dict(zip(names, cells, strict=False)) for _, _, cells in seen]
    if (nameless := headless.seen(table, names, sample)) is not None:
        file.seek(0)
        yield from rows(file, nameless)
        return
    if table.header == headless.NONE:
        table = headless.settled(table, names, sample)
    found = columns.find(table, names, number=max(1, header.number), sample=sample)
    label = found.places.get("label")
    watch = Swallowed(table, names, names.index(label) if label else None)
    for row, record, cells in records:
        named = dict(zip(names, _fitted(row, cells, watch.width), strict=False))
        watch.see(row, record, cells)
        said = found.read(row, named)
        tell_other(table, said)
        yield said
    watch.tell()
    found.tell_unmarked(table)


def plain(file: BinaryIO, table: TableFile) -> tuple[list[str], Iterator[Record]]:
    """The names of the columns, and the records that are not empty, the header's first, and only
    there. Of one column a cell of blanks is a record, as it is beside another cell; an empty line
    is none."""
    head = file.read(HEAD)
    file.seek(0)
    lines = RecordLines(file, table)
    header, separator = _header(lines)
    begun = head.decode("utf-8", "replace")
    names = [name.strip() for name in _named(header, separator)]
    if not headless.has_names(names) and (parting := pairs.separator(begun)):
        separator, names = parting, [name.strip() for name in _named(header, parting)]
    nameless = table.header == headless.NONE
    if nameless:
        names = headless.numbers(len(_first(begun, header, separator, lines) or names))
        lines.again()
    form = CellForm(separator, blank=_blank_follows(begun, header, separator))
    return names, _records(lines, names, form, Headers(table, () if nameless else names))


class CellForm(NamedTuple):
    """What parts the cells of a table, and whether a blank after it is a part of it."""

    separator: str
    blank: bool = False

    def read(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """The cells of records, each of a line or several. Raises csv.Error as it goes on."""
        return csv.reader(lines, delimiter=self.separator, skipinitialspace=self.blank, strict=True)

    def cells(self, line: str) -> list[str]:
        """The cells of one line; none where a quotation mark is not closed, or not at an end."""
        try:
            return next(self.read([line]), [])
        except csv.Error:
            return []


def _blank_follows(head: str, header: str, separator: str) -> bool:
    """Whether a blank belongs to the separator, as in `a, "b, c"`: it does after the header's, or
    before quoted cells, and after most others. Not where a text goes on behind such a quoted part:
    there the blank is the text's own."""
    mark = re.escape(separator)
    cells = re.compile(rf'(?:{mark}|^)( *)("(?:[^"]|"")*+")?+([^{mark}\r\n]*)', re.MULTILINE)
    follows = quoted = others = 0
    for found in cells.finditer(head, head.find(header) + len(header)):
        if not found[0].startswith(separator) or not (found[2] or found[3]):
            continue
        if found[1] and found[2] and found[3].strip():
            return False
        follows += bool(found[1])
        quoted += bool(found[1] and found[2])
        others += not found[1]
    return follows > others and (quoted > 0 or f"{separator} " in header)


def _records(
    lines: RecordLines, names: list[str], form: CellForm, headers: Headers
) -> Iterator[Record]:
    yield Row(lines.name, lines.number, {}), lines.record, names
    alone = len(names) == 1
    lines.parts_returns = not alone and form.separator != "\t"
    read = _tabbed(lines, _width(names), form) if form.separator == "\t" else _quoted(lines, form)
    for row, cells in read:
        written = any(cell.strip() for cell in cells) or (alone and _is_written(lines.record))
        if written and not headers.repeated_by(row, cells):
            yield row, lines.record, headers.ordered(headers.cut_off(row, cells))
    headers.tell_further()


def _is_written(record: Sequence[str]) -> bool:
    """Whether anything stands in a record of one column, be it blanks or quotation marks."""
    return any(line.strip("\r\n") for line in record)


def _width(names: Sequence[str]) -> int:
    """How many columns there are up to the last that has a name."""
    return max((at for at, name in enumerate(names) if name), default=-1) + 1


def _header(lines: RecordLines) -> tuple[str, str]:
    """The header's line and what separates its cells."""
    lines.begin()
    first = next(lines, "")
    while first and not first.strip(SEPARATORS + "\r\n "):
        lines.begin()
        first = next(lines, "")
    told = _SEP.fullmatch(first)
    if told is None:
        return first, _separator(first)
    lines.begin()
    return next(lines, ""), told[1]


class RecordLines:
    """Lines for a reader that may join several into one record: but not too many bytes of them.

    `number` counts the records, from 1.
    """

    def __init__(self, file: BinaryIO, table: TableFile) -> None:
        self.name = table.name
        self.number = 0
        self.record: list[str] = []
        self.parts_returns = False
        """Whether a carriage return alone ends a line, too."""
        self._lines = numbered(file, table, marked=True)
        self._parts: list[str] = []
        self._table = table
        self._left = table.limits.row_bytes

    def begin(self) -> Row:
        """The next line begins a record."""
        self.number += 1
        self.record = []
        self._left = self._table.limits.row_bytes
        return Row(self._table.name, self.number, {})

    def again(self) -> None:
        """The line that was taken for the header is given once more, as that of the first record,
        whose place is that of a header: row 0 of a table."""
        self._parts = [*self.record, *self._parts]
        self.number, self.record = 0, []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._parts.pop(0) if self._parts else next(self._lines)[1]
        if self.parts_returns and "\r" in line[:-2]:
            line, *self._parts = filter(None, _RETURN.split(line))
        if not self.record:
            line = line.lstrip(MARK)  # a file that was joined begins here
        self._left -= len(line)
        if self._left < 0:
            raise row_too_large(Row(self._table.name, self.number, {}), self._table.limits)
        self.record.append(line)
        return line


class Swallowed:
    """Watches for rows that an open quotation mark has made part of another row's cell."""

    def __init__(self, table: TableFile, names: Sequence[str], label: int | None) -> None:
        self.width = _width(names)
        self._table = table
        self._label = label
        self._labels: set[str] = set()
        self._suspects: list[tuple[int, str]] = []

    def see(self, row: Row, record: Sequence[str], cells: Sequence[str]) -> None:
        """One record, the lines that it is made of and its cells."""
        if self._label is None:
            return
        self._labels.add(cells[self._label].strip())
        for line in record[:-1]:
            inside = next(
                filter(self._fits, (line.rstrip("\r\n").split(s) for s in SEPARATORS)), []
            )
            if inside and len(self._suspects) < MOST_SUSPECTS:
                self._suspects.append((row.number, inside[self._label].strip()))

    def _fits(self, cells: Sequence[str]) -> bool:
        return len(cells) == self.width > 1

    def tell(self) -> None:
        """Warn where lines within a cell end in a label of the table, as rows do."""
        found = [number for number, label in self._suspects if label in self._labels]
        if found:
            first = sorted(set(found))
            said = ", ".join(map(str, first[:10]))
            self._table.warn(
                "rows_joined",
                f"{len(found)} line(s) that look like rows are inside a quoted cell of row {said}: "
                "if a quotation mark was left open there, write it twice",
            )


def _quoted(lines: RecordLines, form: CellForm) -> Iterator[tuple[Row, list[str]]]:
    """Records as RFC 4180 has them, whose cells may hold line ends."""
    reader = form.read(lines)
    while True:
        row = lines.begin()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise _unreadable(row, error) from error
        if cells is None:
            return
        yield row, cells


def _tabbed(lines: RecordLines, width: int, form: CellForm) -> Iterator[tuple[Row, list[str]]]:
    """Records of one line each: a quotation mark counts only in a cell that closes in its line.

    Only a line with too few cells is joined to those that close its last cell.
    """
    while True:
        row = lines.begin()
        line = next(lines, None)
        if line is None:
            return
        cells = _line_cells(line, width, form)
        if len(cells) < width and line.count('"') % 2:
            cells = _joined(row, lines, form)
        yield row, cells


def _line_cells(line: str, width: int, form: CellForm) -> list[str]:
    """The cells with quoting, if that gives as many as there should be, else without."""
    bare = line.rstrip("\r\n").split("\t")
    if '"' not in line:
        return bare
    quoted = form.cells(line)
    return quoted if len(quoted) >= width or len(quoted) == len(bare) else bare


def _joined(row: Row, lines: RecordLines, form: CellForm) -> list[str]:
    """The cells of a record whose last cell is closed in a later line. Raises schema_mismatch."""
    for line in lines:
        if line.count('"') % 2:
            break
    try:
        return next(form.read(lines.record))
    except csv.Error as error:
        raise _unreadable(row, error) from error


def _fitted(row: Row, cells: list[str], width: int) -> list[str]:
    """As many cells as named columns. Raises schema_mismatch where that leaves something out."""
    if len(cells) < width or any(cell.strip() for cell in cells[width:]):
        used = len(cells)
        while used > width and not cells[used - 1].strip():
            used -= 1
        raise row.error(
            "schema_mismatch", f"it has {used} cells, the header {width}; {_hint(cells, width)}"
        )
    return cells[:width]


def _hint(cells: Sequence[str], width: int) -> str:
    """What to do about a row that is too long or too short."""
    if any(MARK in cell for cell in cells):
        return "a byte order mark is in it: files that are joined need a line end between them"
    if is_other_header(cells):
        return "it reads as another table's header: send tables of other columns in a zip"
    if any(cell.strip() for cell in cells[width:]):
        return 'a text with the separator in it belongs between quotation marks, as in "a, b"'
    return "an empty cell needs its separator too"


_CSV_ERRORS = {
    "unexpected end of data": "a quotation mark that opens in it is never closed: close it, or "
    "write it twice",
    "expected after": "a cell in quotation marks goes on behind the second: write a mark within "
    'the cell twice, as in "say ""yes"" to it"',
    "new-line character": "it has a carriage return in a cell without quotation marks: end lines "
    "in one way, or put the cell between quotation marks",
    "field larger": "a cell is too long to be read",
}
"""What is told for what Python's reader says."""


def _unreadable(row: Row, error: csv.Error) -> HeadstartError:
    told = (why for said, why in _CSV_ERRORS.items() if said in str(error))
    return row.error("schema_mismatch", next(told, "its cells are not readable as CSV"))


def _first(head: str, header: str, separator: str, lines: RecordLines) -> list[str]:
    """The cells of the record that begins with the line `header`, of however many lines; none where
    they go on behind `head`. Raises schema_mismatch where it is none."""
    begun = head[max(0, head.find(header)) :].splitlines(keepends=True)
    try:
        return next(CellForm(separator).read(begun), [])
    except csv.Error as error:
        if len(head) < HEAD:
            raise _unreadable(Row(lines.name, lines.number, {}), error) from error
        return []


def _separator(header: str) -> str:
    """The one that makes most columns of the header."""
    return max(SEPARATORS, key=lambda mark: len(_named(header, mark)))


def _named(header: str, separator: str) -> list[str]:
    """The cells of the header; blanks before its quoted ones are never a part of them."""
    return CellForm(separator, blank=True).cells(header) or CellForm(separator).cells(header)
