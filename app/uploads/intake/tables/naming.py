"""Tables that name an archive's pictures, by what stands in them, and files that tell of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from pydantic_core import from_json

from app.core.errors import HeadstartError
from app.core.manifest import Problem
from app.uploads.intake import tables
from app.uploads.intake.layout import FileInTree, beside
from app.uploads.intake.layout.named import Nearby
from app.uploads.intake.rows import Row
from app.uploads.intake.tables import columns
from app.uploads.intake.tables.sample import sample
from app.uploads.intake.tables.source import TableFile

UNREAD = frozenset({"encoding", "archive_corrupt", "invalid_json", "schema_mismatch"})
"""What a table beside the examples may be wrong with, and is then none."""


def naming_table(
    table: TableFile, member: FileInTree, ways: Sequence[Nearby]
) -> beside.NamingTable | None:
    """The table, if most of its rows name a picture in one of `ways`; None for any other."""
    try:
        names, records = sample(table)
    except HeadstartError as error:
        if error.code not in UNREAD or beside.called_metadata(member):
            raise
        return None
    columns_by = ((beside.naming_column(records, way), way) for way in ways)
    column, nearby = next((one for one in columns_by if one[0] is not None), (None, ways[0]))
    if column is None:
        return None
    told: list[Problem] = []
    chosen = {role: name for role, name in table.columns.items() if name in names}
    read = replace(table, columns={**chosen, "path": column}, tell=told.append)
    try:
        return beside.NamingTable(member, list(tables.read(read)), told, nearby)
    except HeadstartError as error:
        return beside.NamingTable(member, [], told, nearby, error.message)


def sidecars(
    nearby: Nearby, told: Iterable[tuple[FileInTree, str, bytes]]
) -> beside.NamingTable | None:
    """The files that lie beside a picture of their name and say its label, as one table: of each
    the file, the picture's path and what the file has."""
    rows = [
        (member, Row(member.path, number, {"path": picture, "label": label}))
        for number, (member, picture, data) in enumerate(told, 1)
        if (label := _label(member.path, data)) is not None
    ]
    if not rows:
        return None
    first = rows[0][0]
    files = frozenset(one.index for one, _ in rows)
    return beside.NamingTable(first, [row for _, row in rows], [], nearby, files=files)


def _label(path: str, data: bytes) -> Any:
    """What an object says under a usual name of labels, or all of webdataset's `.cls`; None where
    it says nothing."""
    if path.lower().endswith(".cls"):
        return data.decode("utf-8", "replace").strip()[:1000] or None
    try:
        told = from_json(data)
    except ValueError:
        return None
    if not isinstance(told, dict):
        return None
    said = [
        told[name] for name in told if columns.folded(str(name)) in (*columns.USUAL["label"], "cls")
    ]
    plain = [one for one in said if isinstance(one, str | int | float | list)]
    return plain[0] if len(plain) == 1 else None
