"""The columns that a dataset's earlier tables were said to have hold for one that is added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from app.core.errors import HeadstartError
from app.uploads.intake.names import shown
from app.uploads.intake.tables.roles.names import USUAL
from app.uploads.intake.tables.source import TableFile

Matching = Callable[[str], Sequence[str]]
"""The columns of the table that a name means."""


def heeded(table: TableFile, matching: Matching) -> TableFile:
    """The table with what was said of earlier ones where nothing is said of it, and where it has
    those columns; it is told so.

    Raises schema_mismatch where it has some of those that are a class each.
    """
    former = table.former
    labels = table.marks or "label" in table.columns
    columns = {
        role: name
        for role, name in former.columns.items()
        if role not in table.columns and matching(name) and not (role == "label" and labels)
    }
    marks = former.marks if not labels and all(map(matching, former.marks)) else ()
    if former.marks and not (labels or marks or any(map(matching, USUAL["label"]))):
        _check_marks(table, matching)
    for role, name in columns.items():
        if name.casefold() == role:
            continue  # so it would be read anyway
        _say(table, f"`{shown(name, 60)}` is the {role}", f"{role}_column")
    if marks:
        some = ", ".join(f"`{shown(name, 40)}`" for name in marks[:10])
        _say(table, f"{some} are the labels", "label_columns")
    return replace(table, columns={**columns, **table.columns}, marks=marks or table.marks)


def _check_marks(table: TableFile, matching: Matching) -> None:
    """Raise schema_mismatch where some of the columns of a class each are there, and others not:
    what nobody was asked about is not what is not there."""
    missing = [name for name in table.former.marks if not matching(name)]
    if missing and len(missing) < len(table.former.marks):
        some = ", ".join(f"`{shown(name, 40)}`" for name in missing[:10])
        why = f"{table.name}: it has no column {some}, which is a label as in the dataset's first "
        why += "file: add it with 0 and 1, or say with label_columns which are the labels here"
        raise HeadstartError("schema_mismatch", why, param="label_columns")


def _say(table: TableFile, what: str, field: str) -> None:
    why = f"{what}, as in the dataset's first file; {field} says otherwise"
    table.warn("column_assumed", why)
