"""Tables with one column a class, as Roboflow's `_classes.csv`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from app.core.errors import HeadstartError
from app.uploads.intake.lists.annotated import tell_unlabelled, too_many_labels
from app.uploads.intake.names import shown
from app.uploads.intake.rows import Row
from app.uploads.intake.tables import columns, delimited
from app.uploads.intake.tables.roles import marks
from app.uploads.intake.tables.source import TableFile


def rows(file: BinaryIO, table: TableFile) -> Iterator[Row]:
    """A table with one column a class, of which one says 1, or several or none (`_classes.csv`)."""
    names, records = delimited.plain(file, table)
    header = next(records)[0]
    if (
        not names
        or columns.folded(names[0]) not in columns.USUAL["path"]
        or (len(names) < (2 if table.rules.several else 3))
    ):
        raise header.error("schema_mismatch", "its columns are not `filename` and the classes")
    several, without, seen = [], 0, set[str]()
    classes = _classes(table, names)
    for row, _, cells in records:
        marked = [name for name in _marked(row, names, cells) if name in classes]
        seen.update(marked)
        if table.rules.several:
            yield Row(table.name, row.number, {"path": cells[0], "label": marked})
        elif len(marked) > 1:
            several.append(f"{row.number} ({', '.join(shown(name, 30) for name in marked[:5])})")
        elif marked and not several:
            yield Row(table.name, row.number, {"path": cells[0], "label": marked[0]})
        without += not marked
    if several:
        raise too_many_labels(table, several, what="classes")
    tell_unlabelled(table, without)
    columns.Columns({}, marks=classes, marked=seen).tell_unmarked(table)


def _classes(table: TableFile, names: Sequence[str]) -> tuple[str, ...]:
    """The columns that are classes: those that the caller names, or all. Raises schema_mismatch."""
    for name in table.marks:
        if not columns.matching(names[1:], name):
            why = (
                f"{table.name}: label_columns names {shown(name, 60)!r}, and it has no such column"
            )
            raise HeadstartError("schema_mismatch", why, param="label_columns")
    return tuple(columns.matching(names, one)[0] for one in table.marks) or tuple(names[1:])


def _marked(row: Row, names: Sequence[str], cells: Sequence[str]) -> list[str]:
    """The classes of which a row says 1. Raises schema_mismatch or invalid_value."""
    if len(cells) != len(names):
        raise row.error("schema_mismatch", f"it has {len(cells)} cells, the header {len(names)}")
    told = zip(names[1:], cells[1:], strict=True)
    return [name for name, cell in told if marks.read(row, name, cell)]
