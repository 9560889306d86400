"""Columns that are a box's sides or corners: `x`, `y`, `w`, `h` beside each other."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.uploads.intake.tables.roles.names import folded

_BOXES = {
    ("x", "y", "w", "h"),
    ("x", "y", "width", "height"),
    ("x1", "y1", "x2", "y2"),
    ("x", "y", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
}
_WHOLE = re.compile(r"[+-]?\d+(?:\.0*)?")


def coordinates(names: Sequence[str]) -> list[str]:
    """The columns that say where a box lies, if there are all four in a row, however a header
    writes them (`Bbox [x,y,w,h]`); none where `y` may be a target."""
    words = [_last_word(name) for name in names]
    found = (at for at in range(len(names)) if tuple(words[at : at + 4]) in _BOXES)
    at = next(found, None)
    return [] if at is None else list(names[at : at + 4])


def points(names: Sequence[str]) -> list[str]:
    """The `y` beside an `x` in a table with more than these and one other column: where something
    lies. Of two columns and a picture or a text, `y` may be a target."""
    words = [_last_word(name) for name in names]
    found = [at for at in range(1, len(names)) if words[at - 1 : at + 1] == ["x", "y"]]
    return [names[at] for at in found] if len([word for word in words if word]) > 3 else []


def _last_word(name: str) -> str:
    words = re.findall(r"[^\W_]+", folded(name))
    return words[-1] if words else ""


def are_measured(sample: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether a column has numbers with fractions, nearly all different, as no label has them."""
    said = [str(row[name]).strip() for row in sample if row.get(name) not in (None, "")]
    fractions = [one for one in said if is_number(one) and not _WHOLE.fullmatch(one)]
    return len(said) > 1 and 2 * len(fractions) > len(said) and 5 * len(set(said)) > 4 * len(said)


def is_number(cell: str) -> bool:
    """Whether a cell is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
