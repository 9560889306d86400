"""Columns with one mark a class: one or zero, as spreadsheets, JSON and pandas write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.uploads.intake.names import shown
from app.uploads.intake.rows import Row

MARKS: Mapping[str, bool] = {
    **dict.fromkeys(("1", "1.0", "true"), True),
    **dict.fromkeys(("0", "0.0", "false"), False),
}


def columns(first: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Those of the columns in which the first row says one or zero."""
    return [name for name in names if name.strip() and _of(first.get(name)) is not None]


def read(row: Row, name: str, value: Any) -> bool:
    """Whether the row has the class. Raises invalid_value."""
    found = _of(value)
    if found is None:
        raise row.error("invalid_value", f"`{shown(name, 40)}` is neither 0 nor 1")
    return found


def _of(value: Any) -> bool | None:
    if isinstance(value, str | int | float):
        return MARKS.get(str(value).strip().lower())
    return None
