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
_IDS = "id ids idx index key row row_id rowid uid uuid guid no nr number rownum unnamed"
IDS = frozenset(["", *_IDS.split()])
"""What columns of running numbers are called, which begin with 0 and 1, too."""


def columns(sample: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """Those of the columns in which most of the first rows say one or zero, and no row's number."""
    return [name for name in names if not is_id(name) and _has_marks(sample, name)]


def is_id(name: str) -> bool:
    """Whether a column of this name counts or names the rows (pandas writes `Unnamed: 0`)."""
    plain = re.sub(r"[\W\d_]+", " ", name.casefold()).strip().replace(" ", "_")
    return plain in IDS or plain.endswith("_id")


def _has_marks(sample: Sequence[Mapping[str, Any]], name: str) -> bool:
    said = [_of(row[name]) for row in sample if row.get(name) not in (None, "")]
    return 2 * sum(one is not None for one in said) > len(said)


def read(row: Row, name: str, value: Any) -> bool:
    """Whether the row has the class. Raises invalid_value."""
    found = _of(value)
    if found is None:
        what = "empty" if value is None or value == "" else f"{str(value)[:40]!r}"
        said = f"`{shown(name, 40)}` is {what}, and neither 0 nor 1"
        hint = "write 1 where the class is there and 0 where it is not, or leave the row out where "
        hint += "nobody is sure; label_columns says which columns are the labels"
        raise row.error("invalid_value", f"{said}; {hint}")
    return found


def _of(value: Any) -> bool | None:
    if isinstance(value, str | int | float):
        return MARKS.get(str(value).strip().lower())
    return None
