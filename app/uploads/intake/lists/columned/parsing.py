"""The lines of a list as a key and the columns behind it, with their names where they have some."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.uploads.intake import images

_PREAMBLE = 2
"""Lines before the first that names a picture: how many there are, and what columns are called."""
Key = Callable[[str], str | None]
"""The picture that a cell names, "" of one that is not there; None of what names none."""


@dataclass(frozen=True, slots=True)
class ColumnedLines:
    """The columns behind the keys of a list, line by line; `names` are theirs, or none."""

    rows: Sequence[tuple[int, str, Sequence[str]]]
    """Line, the picture's path, and what is said of it."""
    names: Sequence[str]
    missing: int
    """Lines of pictures that are not there."""

    @property
    def columns(self) -> list[list[str]]:
        """What each column says, row by row."""
        return [list(one) for one in zip(*(values for *_, values in self.rows), strict=True)]

    @property
    def paths(self) -> list[str]:
        """The pictures, line by line."""
        return [path for _, path, _ in self.rows]


def parsed(lines: Sequence[str], key: Key, enough: int) -> ColumnedLines | None:
    """The list, if most of its lines, or `enough`, begin with a picture's key, each with one of its
    own, and say equally much of it; None for anything else."""
    told = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    notes = [line for _, line in told if line.lstrip().startswith("#")]
    told = [(number, line) for number, line in told if not line.lstrip().startswith("#")]
    split = _splitter([line for _, line in told[_PREAMBLE:] or told])
    cells = [(number, split(line)) for number, line in told]
    keyed = (key(one[0]) is not None for _, one in cells[: _PREAMBLE + 1])
    first = next((at for at, found in enumerate(keyed) if found), None)
    if first is None:
        return None
    before, body = cells[:first], _even(cells[first:], [line for _, line in told[first:]])
    if body is None:
        return None
    rows = [(number, path, one[1:]) for number, one in body if (path := key(one[0]))]
    once = len({path for _, path, _ in rows}) == len(rows)
    if not once or not rows or len(rows) < min(enough, (len(body) + 1) // 2):
        return None
    names = _names(before, notes, len(body[0][1]) - 1)
    return ColumnedLines(rows, names, len(body) - len(rows))


def _splitter(lines: Sequence[str]) -> Callable[[str], list[str]]:
    """How the lines are parted: by tabs or commas where all have equally many, else by blanks."""
    for mark in ("\t", ","):
        counts = {line.count(mark) for line in lines}
        if len(counts) == 1 and counts != {0}:
            return lambda line, mark=mark: [one.strip() for one in line.split(mark)]  # type: ignore[misc]
    return str.split


def _even(
    cells: Sequence[tuple[int, list[str]]], lines: Sequence[str]
) -> Sequence[tuple[int, list[str]]] | None:
    """The rows, if they have equally many cells: one behind the key where labels have blanks."""
    widths = Counter(len(one) for _, one in cells)
    if len(widths) == 1:
        return cells if min(widths) > 1 else None
    rest = [(number, line.split(None, 1)) for (number, _), line in zip(cells, lines, strict=True)]
    blank = all(len(one) == 2 and not _is_path(one[1]) for _, one in rest)
    return [(number, [one[0], one[1].strip()]) for number, one in rest] if blank else None


def _is_path(said: str) -> bool:
    return images.extension(said) in images.EXTENSIONS


def _names(
    before: Sequence[tuple[int, list[str]]], notes: Sequence[str], width: int
) -> Sequence[str]:
    """What the columns are called: by the line before the first, or by a comment on top, in which
    a name may be two words."""
    header = next((one for _, one in reversed(before) if not _is_count(one)), None)
    if header is not None and len(header) in (width, width + 1):
        return header[-width:]
    words = re.split(r"[\s,]+", notes[0].lstrip("# ").strip()) if notes else []
    return words[1 : width + 1] if len(words) > width else ()


def _is_count(cells: Sequence[str]) -> bool:
    return len(cells) == 1 and cells[0].isdecimal()
