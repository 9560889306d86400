"""The columns that a dataset's earlier tables were said to have hold for one that is added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from app.uploads.intake.names import shown
from app.uploads.intake.tables.source import TableFile

Matching = Callable[[str], Sequence[str]]
"""The columns of the table that a name means."""


def heeded(table: TableFile, matching: Matching) -> TableFile:
    """The table with what was said of earlier ones where nothing is said of it, and where it has
    those columns; it is told so.
    """
    former = table.former
    labels = table.marks or "label" in table.columns
    columns = {
        role: name
        for role, name in former.columns.items()
        if role not in table.columns and matching(name) and not (role == "label" and labels)
    }
    marks = former.marks if not labels and all(map(matching, former.marks)) else ()
    for role, name in columns.items():
        if name.casefold() == role:
            continue  # so it would be read anyway
        _say(table, f"`{shown(name, 60)}` is the {role}", f"{role}_column")
    if marks:
        some = ", ".join(f"`{shown(name, 40)}`" for name in marks[:10])
        _say(table, f"{some} are the labels", "label_columns")
    return replace(table, columns={**columns, **table.columns}, marks=marks or table.marks)


def _say(table: TableFile, what: str, field: str) -> None:
    why = f"{what}, as was said when the dataset was made; {field} says otherwise"
    table.warn("column_assumed", why)
