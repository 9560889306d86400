"""Columns with one mark a class: one or zero, as spreadsheets, JSON and pandas write them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.uploads.intake.names import shown
from app.uploads.intake.rows import Row
from app.uploads.intake.tables.source import TableFile

MARKS: Mapping[str, bool] = {
    **dict.fromkeys(("1", "1.0", "true"), True),
    **dict.fromkeys(("0", "0.0", "false"), False),
}


_HOLDS = (
    "present presence is_present value values confidence holds exists applies positive is_positive "
    "has_label is_label truth_value"
)
HOLDS = frozenset(_HOLDS.split())
"""What columns are called that say with 1 or 0 whether a row's label is there, as melted tables of
a column a class have them, and Open Images."""
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


def holding(
    table: TableFile,
    free: Mapping[str, str],
    sample: Sequence[Mapping[str, Any]],
    label: str | None,
) -> str | None:
    """The column that says of each row whether its `label` is there, where there may be several
    and one of the `free` ones (as they are called folded) is called so and has zeros and ones
    alone. Others of those are told."""
    if label is None or not (table.labelled and table.rules.several):
        return None
    if any(table.rules.lists(row.get(label)) for row in sample):
        return None
    found = [name for name in free if _all_marks(sample, name) and not is_id(name)]
    named = [name for name in free if free[name] in HOLDS]
    taken = next((name for name in named if name in found), None)
    if taken is not None:
        said = f"a row that has 0 in the column `{shown(taken, 60)}` says that its label is not "
        table.warn("column_assumed", f"{said}there; leave the column out if it says something else")
    elif named or found:
        some = ", ".join(f"`{shown(name, 40)}`" for name in dict.fromkeys([*named, *found][:10]))
        said = f"not read: {some}; if one says that a row's label is not there, leave those rows "
        table.warn("column_unread", f"{said}out, or call it `present` with 1 and 0")
    return taken


def _all_marks(sample: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether the cells of a column that are not blank are ones and zeros, and there are some."""
    said = [row[name] for row in sample if row.get(name) not in (None, "")]
    return bool(said) and all(_of(one) is not None for one in said)


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
