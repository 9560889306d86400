"""Tables as rows, read one by one: no row is held that is longer than allowed."""

from __future__ import annotations

from collections.abc import Iterator

from app.core.errors import HeadstartError
from app.core.manifest import Problem
from app.uploads.intake.archive import too_many
from app.uploads.intake.rows import Row
from app.uploads.intake.tables import chats, columnar, delimited, encodings, labelled_lines, objects
from app.uploads.intake.tables.source import TableFile

__all__ = ["TableFile", "read"]

READERS = {
    "csv": delimited.rows,
    "jsonl": objects.lines,
    "json": objects.document,
    "labelled_lines": labelled_lines.rows,
}


def read(table: TableFile) -> Iterator[Row]:
    """The rows of a table, their values by role: text, label, group, split, path or image.

    Raises schema_mismatch, encoding, row_too_large, invalid_json, invalid_value, several_labels,
    too_many_entries, empty_dataset, archive_corrupt or archive_bomb.
    """
    count = 0
    for row in chats.read(_rows(table), table):
        count += 1
        if count > table.limits.entries:
            raise too_many(table.limits)
        yield row
    if not count:
        below = " below its header" if table.kind in ("csv", "xlsx") else ""
        said = f"{table.name} has no row with an example{below}"
        table.tell(Problem(code="empty_dataset", message=said, path=table.name, excluded=True))


def _rows(table: TableFile) -> Iterator[Row]:
    if table.header and table.kind not in ("csv", "xlsx"):
        why = f"header is {table.header!r}, and {table.name} has no rows of cells: leave it out"
        raise HeadstartError("schema_mismatch", why, param="header")
    if table.kind in READERS:
        with encodings.opened(table) as file:
            yield from READERS[table.kind](file, table)
    else:
        yield from columnar.rows(table)
