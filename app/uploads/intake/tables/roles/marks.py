"""Columns with one mark a class: one or zero, as spreadsheets, JSON and pandas write them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.uploads.intake.names import shown
from app.uploads.intake.rows import Row

MARKS: Mapping[str, bool] = {
    **dict.fromkeys(("1", "1.0", "true"), True),
    **dict.fromkeys(("0", "0.0", "false"), False),
}
_SIGNED: Mapping[str, bool] = {"1": True, "-1": False}
_COUNT = re.compile(r"0*(?:[2-9]|[1-9][0-9]+)(?:\.0*)?")
_COUNTS = 0.1
"""Share of cells with a number of 2 or more, from which a column counts something or grades it."""
_ENOUGH = 3
"""Columns of 1 and -1 that are marks of classes: one or two are rather answers to something."""
_IDS = "id ids idx index key row row_id rowid uid uuid guid no nr number rownum unnamed"
IDS = frozenset(["", *_IDS.split()])
"""What columns of running numbers are called, which begin with 0 and 1, too."""


def columns(sample: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """Those of the columns in which most of the first rows say one or zero, and no row's number; of
    three or more those that say 1 and -1."""
    kept = [name for name in names if not is_id(name)]
    signed = [name for name in kept if _words(sample, [name]) <= _SIGNED.keys()]
    found = [name for name in kept if _has_marks(sample, name)]
    sure = len(signed) >= _ENOUGH and are_signed(sample, signed) and not {*found} - {*signed}
    return signed if sure else found


def is_id(name: str) -> bool:
    """Whether a column of this name counts or names the rows (pandas writes `Unnamed: 0`)."""
    plain = re.sub(r"[\W\d_]+", " ", name.casefold()).strip().replace(" ", "_")
    return plain in IDS or plain.endswith("_id")


def _has_marks(sample: Sequence[Mapping[str, Any]], name: str) -> bool:
    cells = [row[name] for row in sample if row.get(name) not in (None, "")]
    said = [_of(cell) for cell in cells]
    counts = sum(_COUNT.fullmatch(str(cell).strip()) is not None for cell in cells)
    few = counts < 2 or counts < _COUNTS * len(said)  # one alone is rather wrong, and told
    return few and 2 * sum(one is not None for one in said) > len(said)


def are_signed(sample: Sequence[Mapping[str, Any]], names: Sequence[str]) -> bool:
    """Whether the columns say 1 and -1, as CelebA's do; beside a 0, -1 is nobody's being sure."""
    return _words(sample, names) == _SIGNED.keys()


def _words(sample: Sequence[Mapping[str, Any]], names: Sequence[str]) -> set[str]:
    return {_plain(row.get(name)) for row in sample for name in names}


def _plain(value: Any) -> str:
    return str(value).strip().removesuffix(".0")


def read(row: Row, name: str, value: Any, *, signed: bool = False) -> bool:
    """Whether the row has the class. Raises invalid_value."""
    found = _SIGNED.get(_plain(value)) if signed else _of(value)
    if found is None:
        what = "empty" if value is None or value == "" else f"{str(value)[:40]!r}"
        said = f"`{shown(name, 40)}` is {what}, and neither 0 nor 1"
        hint = "write 1 where the class is there and 0 where it is not, or leave the row out where "
        hint += "nobody is sure; label_columns says which columns are the labels"
        raise row.error("invalid_value", f"{said}; {hint}")
    return found


def is_one(value: Any) -> bool:
    """Whether a cell says that the class is there."""
    return _of(value) is True


def _of(value: Any) -> bool | None:
    if isinstance(value, str | int | float):
        return MARKS.get(str(value).strip().lower())
    return None
