"""Two columns that nobody has called: one has labels, which come again, the other texts."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

SEPARATORS = "\t;|,"
LINES = 100
"""That tell what parts their cells."""
FEWEST = 4
_OFF = 10
"""One of so many lines may be parted otherwise: whoever reads the rows names it."""
_PAIR = 2
_LETTERS = 6
"""Of a cell, in the mean, from which a column of a script without blanks has texts."""
_ENDS = tuple(".!?…。\uff01\uff1f।؟።។")
_FILE = re.compile(r".*\S\.[a-z][a-z0-9]{1,4}", re.IGNORECASE | re.DOTALL)
Sample = Sequence[Mapping[str, Any]]


class LabelledTexts(NamedTuple):
    """Which column has the labels, and which the texts."""

    label: str
    text: str


def pair(names: Sequence[str], sample: Sample) -> LabelledTexts | None:
    """The one column that repeats what it says, and the one that has texts."""
    labels = [name for name in names if repeats(sample, name)]
    texts = [name for name in names if reads(sample, name)]
    return LabelledTexts(labels[0], texts[0]) if len(labels) == len(texts) == 1 else None


def separator(head: str) -> str | None:
    """What parts each of the first lines into a label and a text; None where nothing does."""
    lines = [line for line in head.splitlines()[:-1] if line.strip()][:LINES]
    return next((mark for mark in SEPARATORS if _parts(lines, mark)), None)


def is_pairs(head: bytes) -> bool:
    """Whether a file begins with lines of a label and a text."""
    return b"\0" not in head and separator(head.decode("utf-8", "replace")) is not None


def parted(head: bytes) -> bool:
    """Whether one mark parts most of the first lines in two, whatever they say: so lines look that
    lie beside those of `is_pairs`, be they few."""
    lines = [line for line in head.decode("utf-8", "replace").splitlines() if line.strip()][:LINES]
    counts = (sum(len(_cells(line, mark)) == _PAIR for line in lines) for mark in SEPARATORS)
    return b"\0" not in head and 2 * max(counts) >= max(1, len(lines))


def stands_out(cell: str, sample: Sample, name: str) -> bool:
    """Whether a cell is a word above a column of texts, as the name of a column is."""
    below = cells(sample, name)
    if _says_more(cell) or not below:
        return False
    longer = sum(_says_more(one) or len(one) >= 2 * len(cell.strip()) for one in below)
    return _OFF * longer >= (_OFF - 1) * len(below)


def _says_more(cell: str) -> bool:
    """Whether it has more than a word, or ends as a sentence does."""
    return len(cell.split()) > 1 or cell.rstrip().endswith(_ENDS)


def cells(sample: Sample, name: str) -> list[str]:
    """What a column says, where it says something."""
    said = (row.get(name) for row in sample)
    return [cell.strip() for cell in said if isinstance(cell, str) and cell.strip()]


def repeats(sample: Sample, name: str) -> bool:
    """Whether a column says few things, each of several rows."""
    said = cells(sample, name)
    return len(said) > 1 and 2 * len(set(said)) <= len(said)


def reads(sample: Sample, name: str) -> bool:
    """Whether a column's cells are words, most of them said once, and no names of files."""
    said = cells(sample, name)
    worded = [one for one in said if any(map(str.isalpha, one)) and not _FILE.fullmatch(one)]
    if 2 * len(worded) <= len(said) or 2 * len(set(said)) <= len(said):
        return False
    words = sum(len(one.split()) for one in said)
    return words >= _PAIR * len(said) or sum(map(_unparted, said)) >= _LETTERS * len(said)


def _unparted(cell: str) -> int:
    """Letters of scripts beyond ASCII, in a cell that has no blanks."""
    return 0 if " " in cell else sum(mark.isalpha() and not mark.isascii() for mark in cell)


def _parts(lines: Sequence[str], mark: str) -> bool:
    rows = _rows(lines, mark)
    two = [row for row in rows if len(row) == _PAIR]
    if len(two) < FEWEST or _OFF * (len(rows) - len(two)) > len(rows):
        return False
    return pair(("1", "2"), [{"1": one, "2": other} for one, other in two]) is not None


def _rows(lines: Sequence[str], mark: str) -> list[list[str]]:
    """The cells of records of several lines, or of each line where a quotation mark is its text's
    own."""
    try:
        rows = list(csv.reader(lines, delimiter=mark, strict=True))
    except csv.Error:
        rows = []
    if rows and all(len(row) == _PAIR for row in rows):
        return rows
    return [_cells(line, mark) for line in lines]


def _cells(line: str, mark: str) -> list[str]:
    """The cells of one line; beside tabs a quotation mark that does not close is a text's own."""
    try:
        return next(csv.reader([line], delimiter=mark, strict=True), [])
    except csv.Error:
        return line.split(mark) if mark == "\t" else []
