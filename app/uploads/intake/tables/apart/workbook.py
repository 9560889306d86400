"""Workbooks as people see them: merged cells, number formats, what is hidden. Run by path."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from functools import lru_cache
from itertools import chain, islice
from typing import Any, BinaryIO
from zipfile import ZipFile

Row = dict[str, Any]
WIDEST = 1000
"""Columns that are looked at."""
FORMULA_CELL = "\0"
UNCOMPUTED = {"type": "formula"}
"""What stands for a formula without its value; as a text first, which XML cannot say."""
EMPTY_AT_ONCE = 100_000
"""Empty rows in a row after which a workbook is taken to have ended."""
MOST_MERGED = 100_000
LONGEST_TAG = 1 << 16
FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")
MERGED = re.compile(
    rb'<(?:\w+:)?mergeCell\s[^>]*?ref="([A-Z]{1,3})([0-9]{1,7}):[A-Z]{1,3}([0-9]{1,7})"'
)
HIDDEN_ROW = re.compile(rb'<(?:\w+:)?row\s[^>]*?hidden="(?:1|true)"')
HIDDEN_COLUMN = re.compile(rb'<(?:\w+:)?col\s[^>]*?hidden="(?:1|true)"')
TOKEN = re.compile(
    r'"(?P<words>[^"]*)"|\\(?P<escaped>.)|_(?P<width>.)|\*(?P<fill>.)'
    r"|\[\$(?P<currency>[^\]-]*)(?:-[^\]]*)?\]|(?P<colour>\[[A-Za-z]+ ?\d*\])"
    r"|(?P<plain>[-$\u20ac\u00a3\u00a5%+ ()\u00a0])|(?P<number>(?:#,##)?0+(?:\.0+)?)"
)
"""What a part of a number format is made of: words and signs of money, and one number."""
SECTIONS = 3
"""Of numbers above, below and equal to zero."""
AS_IT_IS = re.compile(r"(?:\[[A-Za-z]+ ?\d*\])*(?:General|@|-?[#0]*(?:\.[#0?]+)?)", re.I)
"""A part of one that shows the number alone, however many digits of it."""
WORD = re.compile(r'(?:\[[^\]]*\])*"[^"]*[^\W\d_][^"]*"')
"""A part of one that shows a word in the number's place."""


Refused: type[Exception] = globals().get("Refused", ValueError)
"""Of code and message, as whoever runs this file gives it."""


def rows(source: str, bounds: dict[str, Any], _blobs: BinaryIO) -> Iterator[Row]:
    """The header, then a row at a time. Raises Refused."""
    sys.modules["numpy"] = None  # type: ignore[assignment]  # openpyxl loads it for nothing
    from openpyxl import load_workbook

    try:
        with open(source, "rb") as file:  # noqa: PTH123
            _check_ratio(file, bounds)
            book = load_workbook(file, read_only=True, data_only=True)
            sheets = book.worksheets
            if not sheets:
                raise Refused("empty_dataset", "it has no sheet with cells")
            at = next((at for at, one in enumerate(sheets) if one.sheet_state == "visible"), 0)
            found = _looked_through(file, sheets[at])
            formulas = (
                load_workbook(file, read_only=True).worksheets[at] if found.formulas else None
            )
            cells = _Cells(sheets[at], formulas, found.merged)
            told = [*_of_sheets(sheets, at), *found.told, *_of_formats(book)]
            yield from _rows(_filled(cells.rows()), told, bounds)
    except (Refused, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise Refused(
            "archive_corrupt",
            "an Excel workbook that is damaged, or of a kind that is not read: save it as CSV"
            " UTF-8, or as .xlsx again",
        ) from error


def _check_ratio(file: BinaryIO, bounds: dict[str, Any]) -> None:
    """What unpacks to that much more than it takes is made to: reading it is for nothing."""
    with ZipFile(file) as packed:
        for part in packed.infolist():
            most = max(bounds["ratio_from"], bounds["ratio"] * part.compress_size)
            if part.file_size > most:
                said = f"its {part.filename[:60]!r} unpacks to more than {bounds['ratio']} times"
                raise Refused("archive_bomb", f"{said} its size")


def _of_sheets(sheets: list[Any], at: int) -> list[str]:
    """Which of several is read: the first that is not hidden."""
    first = "first sheet that is not hidden" if at else "first sheet"
    only = f"only the {first}, {sheets[at].title!r}, of {len(sheets)} is read"
    return [only] if sheets[1:] else []


@dataclass
class _Found:
    """What a sheet's XML says beside its cells."""

    formulas: bool = False
    merged: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """By its first row, each range of merged cells in several rows: column from 0, last row."""
    hidden: dict[str, int] = field(default_factory=dict)

    @property
    def told(self) -> list[str]:
        ranges = sum(map(len, self.merged.values()))
        said = f"what stands in {ranges} range(s) of merged cells counts in each of their rows"
        counts = ((name, count) for name, count in self.hidden.items() if count)
        return [said] * bool(ranges) + [
            f"{count} hidden {name}(s) are read, too" for name, count in counts
        ]


def _looked_through(file: BinaryIO, sheet: Any) -> _Found:
    found, rest, left = _Found(), b"", MOST_MERGED
    found.hidden = {"row": 0, "column": 0}
    with ZipFile(file) as packed, packed.open(sheet._worksheet_path.lstrip("/")) as part:
        while data := part.read(1 << 20):
            whole, mark, rest = (rest + data).rpartition(b">")
            whole, rest = whole + mark, rest[-LONGEST_TAG:]
            found.formulas = found.formulas or FORMULA.search(whole) is not None
            found.hidden["row"] += sum(1 for _ in HIDDEN_ROW.finditer(whole))
            found.hidden["column"] += sum(1 for _ in HIDDEN_COLUMN.finditer(whole))
            for column, first, last in islice(MERGED.findall(whole), left):
                left -= 1
                if int(first) < int(last):
                    found.merged.setdefault(int(first), []).append((_number(column), int(last)))
    return found


def _number(letters: bytes) -> int:
    """A column's place, from 0."""
    place = 0
    for letter in letters:
        place = 26 * place + letter - ord("A") + 1
    return place - 1


class _Cells:
    """The cells of a sheet, as they are shown."""

    def __init__(self, sheet: Any, formulas: Any, merged: dict[int, list[tuple[int, int]]]) -> None:
        self._sheet, self._formulas, self._merged = sheet, formulas, merged
        self._running: dict[int, tuple[Any, int]] = {}

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Of each row its values, `FORMULA_CELL` where a formula has none."""
        self._sheet.reset_dimensions()
        plain = not any(map(_has_shape, _formats(self._sheet.parent)))
        values = self._sheet.iter_rows(values_only=plain)
        written: Iterator[tuple[Any, ...]] | None = None
        if self._formulas is not None:
            self._formulas.reset_dimensions()
            written = self._formulas.iter_rows(values_only=True)
        for number, row in enumerate(values, 1):
            shown = row if plain else tuple(map(self._shown, row))
            if written is not None:
                pairs = zip(shown, next(written, ()), strict=True)
                shown = tuple(
                    FORMULA_CELL if one is None is not cell else one for one, cell in pairs
                )
            yield self._with_merged(number, shown)

    def _shown(self, cell: Any) -> Any:
        value = cell.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        said = _as_shown(cell.number_format or "", value)
        return value if said is None else said

    def _with_merged(self, number: int, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """The row with what merged cells above it say, where it says something itself."""
        cells = list(row)
        alone = all(value is None for value in cells)
        for place, (value, last) in list(self._running.items()):
            if number > last:
                del self._running[place]
            elif not alone and place < len(cells) and cells[place] is None:
                cells[place] = value
            elif not alone and place >= len(cells):
                cells += [None] * (place - len(cells)) + [value]
        for place, last in self._merged.get(number, ()):
            if place < min(len(row), WIDEST) and row[place] is not None:
                self._running[place] = row[place], last
        return tuple(cells)


def _formats(book: Any) -> set[str]:
    """The number formats that some cell may have."""
    from openpyxl.styles.numbers import BUILTIN_FORMATS

    own, first = list(book._number_formats), 164
    used = {style.numFmtId for style in book._cell_styles}
    return {
        own[one - first] if first <= one < first + len(own) else BUILTIN_FORMATS.get(one, "")
        for one in used
    }


def _of_formats(book: Any) -> list[str]:
    """Which formats are read as they show numbers, and which show words that are not read."""
    codes = sorted(_formats(book))
    worded = [code for code in codes if any(map(WORD.fullmatch, code.split(";")))]
    shown = [code for code in codes if code not in worded and _has_shape(code)]
    others = [code for code in codes if not (code in worded or code in shown or _is_plain(code))]
    told = []
    if shown:
        told.append(f"numbers of the format {_some(shown)} are read as it shows them")
    if worded:
        said = f"cells of the format {_some(worded)} show words for numbers: the numbers are read"
        told.append(f"{said}; write the words themselves if they are meant")
    if others:
        said = f"cells of the format {_some(others)} show numbers otherwise: the numbers are read"
        told.append(f"{said}; write the texts themselves if they are meant")
    return told


def _is_plain(code: str) -> bool:
    """Whether a format shows numbers as they are, or dates, which are read in one form."""
    from openpyxl.styles.numbers import is_date_format

    return (
        bool(is_date_format(code)) or AS_IT_IS.fullmatch(code.split(";", maxsplit=1)[0]) is not None
    )


def _some(codes: list[str]) -> str:
    return ", ".join(f"`{code[:40]}`" for code in codes[:5]) + ", …" * bool(codes[5:])


def _has_shape(code: str) -> bool:
    """Whether a format shows more than a number."""
    return any(_shape(part) is not None for part in code.split(";")[:SECTIONS])


def _as_shown(code: str, value: float) -> str | None:
    """How a format shows a number; None where that is the number, or would be another."""
    parts = code.split(";")
    below = value < 0 and len(parts) > 1
    at = 1 if below else 2 if value == 0 and len(parts) >= SECTIONS else 0
    shape = _shape(parts[at])
    said = None if shape is None else shape(abs(value))
    if said is None or below or value >= 0:
        return said
    return None if said.startswith("0") and abs(value) >= 1 else f"-{said}"


@lru_cache(maxsize=1000)
def _shape(part: str) -> Callable[[float], str | None] | None:
    """How a part of a format shows a number that is not negative; None where as it is."""
    read = _parts(part)
    if read is None:
        return None
    before, number, after = read
    grouped, plain = "," in number, number.replace("#,##", "")
    zeros, _, decimals = plain.partition(".")
    percent = "%" in before + after
    if not (before.strip(" -+") or after.strip(" -+") or zeros[1:]):
        return None  # marks of thousands say no more than the number, and stand where one lives
    width = len(zeros) + (len(decimals) + 1 if decimals else 0)
    form = (
        f"{'' if grouped else 0}{'' if grouped else width}{',' if grouped else ''}.{len(decimals)}f"
    )

    def show(value: float) -> str | None:
        if not (decimals or percent or float(value).is_integer()):
            return None  # it is shown rounded, which is not what anybody has written
        number = 100 * value if percent else value
        if abs(round(number, len(decimals)) - number) > 1e-9 * max(1.0, number):
            return None  # as shown it would be one with other numbers
        return f"{before}{number:{form}}{after}".strip()

    return show


def _parts(part: str) -> tuple[str, str, str] | None:
    """What stands before the number of a format's part, that, and what stands behind; None of one
    that is not understood, or has no number, or several."""
    at, said, number = 0, ["", ""], ""
    while at < len(part):
        found = TOKEN.match(part, at)
        if found is None or (found["number"] and number):
            return None
        at = found.end()
        if found["number"]:
            number = found["number"]
        else:
            said[bool(number)] += _words(found)
    return (said[0], number, said[1]) if number else None


def _words(found: re.Match[str]) -> str:
    """What a part of a format shows beside the number; a blank for the width of a letter."""
    kinds = ("words", "escaped", "currency", "plain")
    told = next((found[kind] for kind in kinds if found[kind] is not None), "")
    return " " if found["width"] else told


def _rows(
    rows: Iterator[tuple[int, list[str]]], told: list[str], bounds: dict[str, Any]
) -> Iterator[Row]:
    """The first row that is not empty is the header, or else an example below its columns'
    numbers."""
    number, header = next((one for one in rows if one[1]), (1, []))
    names = [str(cell) for cell in header]
    if bounds["nameless"]:
        names = [str(at) for at in range(1, len(header) + 1)]
        rows = chain([(number, header)], rows)
    yield {"columns": names, "classes": {}, "images": [], "told": told}
    width = max((at for at, name in enumerate(names) if name.strip()), default=-1) + 1
    kept = (one for one in rows if one[1] or width <= 1)
    for number, cells in islice(kept, bounds["rows"]):
        if len(cells) > width:
            said = f"row {number} has a cell in column {len(cells)}, the header has {width}"
            if width <= 1:
                said += "; the first row with cells has to be the columns' names, without a title"
            raise Refused("schema_mismatch", "; ".join([said, *told]))
        padded = cells + [""] * (width - len(cells))
        named: Row = {name: cell for name, cell in zip(names, padded, strict=False) if name.strip()}
        named = {name: UNCOMPUTED if cell == FORMULA_CELL else cell for name, cell in named.items()}
        yield {"row": number, "cells": named}


def _filled(rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[int, list[str]]]:
    """The rows in which something stands, numbered from 1, without empty cells at the end: none are
    left of a row of blanks."""
    empty = 0
    for number, row in enumerate(rows, 1):
        cells = [_cell(value) for value in row[:WIDEST]] if row else []
        written = any(cells)
        while cells and not cells[-1].strip():
            cells.pop()
        empty = 0 if cells else empty + 1
        if written:
            yield number, cells
        if empty > EMPTY_AT_ONCE:
            return


def _cell(value: Any) -> str:
    """What the sheet would show, or what saving it as CSV would write."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return value.isoformat() if isinstance(value, date | time) else str(value)
