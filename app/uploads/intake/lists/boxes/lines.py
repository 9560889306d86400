"""Boxes in lines of paths: Vertex AI's import files, RetinaNet's CSV and YOLO's lists for Keras.

Their corners are no labels, and lines of one picture are one picture's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.uploads.intake.lists.annotated import AnnotatedPicture

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_CORNER = re.compile(_NUMBER)
_GLUED = re.compile(rf"{_NUMBER}(?:,{_NUMBER}){{3}},[^\s,]+")
_LINE = re.compile(rf"(\S.*?)\s+({_GLUED.pattern}(?:\s+{_GLUED.pattern})*)\s*")
_TWO, _FOUR = 4, 8
"""Numbers that two opposite corners have, and all four."""
LabelledBox = tuple[str, list[float]]
"""A label, and the x and y of corners in turn."""


def glued(line: str) -> list[str] | None:
    """The path and the boxes of a line `path x,y,x,y,class x,y,x,y,class`; None of any other."""
    found = _LINE.fullmatch(line.strip())
    return [found[1], *found[2].split()] if found else None


def boxes(cells: Sequence[str]) -> list[LabelledBox] | None:
    """The boxes that the cells behind a path say: a label before or behind the corners of one, or
    each glued; None where they say labels."""
    if cells and all(_GLUED.fullmatch(cell) for cell in cells):
        parted = [cell.split(",") for cell in cells]
        return [(one[-1], [float(x) for x in one[:-1]]) for one in parted]
    corners = [cell for cell in cells if _CORNER.fullmatch(cell)]
    if len(corners) == len(cells):
        return _numbered([float(cell) for cell in cells], cells)
    others = [cell for cell in (cells[0], cells[-1]) if not _CORNER.fullmatch(cell)]
    alone = len(cells) == len(corners) + 1 and len(others) == 1
    if not alone or len(corners) not in (_TWO, _FOUR):
        return None
    return [(others[0], [float(x) for x in corners])]


def _numbered(told: Sequence[float], cells: Sequence[str]) -> list[LabelledBox] | None:
    """Two corners in pixels and a class's number behind them; None of other numbers."""
    if len(told) != _TWO + 1 or not cells[-1].isdecimal():
        return None
    left, top, right, bottom = told[:_TWO]
    return [(cells[-1], list(told[:_TWO]))] if right - left > 1 and bottom - top > 1 else None


def add(one: AnnotatedPicture, found: Sequence[LabelledBox]) -> None:
    """The boxes of a line; corners of at most 1 are fractions of the picture's sides."""
    for label, flat in found:
        xs, ys = flat[::2], flat[1::2]
        place = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
        one.add(label, place, fractions=max(flat) <= 1)
