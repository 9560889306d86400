"""Tables that name an archive's pictures, by what stands in them, and files that tell of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic_core import from_json

from app.core.errors import HeadstartError
from app.core.manifest import Problem
from app.uploads.intake import images, tables
from app.uploads.intake.layout import FileInTree, beside
from app.uploads.intake.layout.named import Nearby
from app.uploads.intake.names import plain, shown
from app.uploads.intake.rows import Row
from app.uploads.intake.tables import columns
from app.uploads.intake.tables.sample import sample
from app.uploads.intake.tables.source import TableFile

UNREAD = frozenset({"encoding", "archive_corrupt", "invalid_json", "schema_mismatch"})
"""What a table beside the examples may be wrong with, and is then none."""


def naming_table(
    table: TableFile,
    member: FileInTree,
    ways: Sequence[Nearby],
    *,
    mentioned: Callable[[], bool],
) -> beside.NamingTable | None:
    """The table, if most of its rows name a picture in one of `ways`; None for any other.

    One that cannot be read, or has rows that name other pictures, says why; `mentioned` tells
    whether a file that cannot be read is about the pictures.
    """
    try:
        names, records = sample(table)
    except HeadstartError as error:
        if error.code not in UNREAD or beside.called_metadata(member):
            raise
        if not mentioned():
            return None
        return beside.NamingTable(member, [], [], ways[0], error.message, hint="")
    columns_by = ((beside.naming_column(records, way), way) for way in ways)
    column, nearby = next((one for one in columns_by if one[0] is not None), (None, ways[0]))
    if column is None:
        why = _names_others(records, ways[-1])
        return beside.NamingTable(member, [], [], nearby, why, hint="") if why else None
    told: list[Problem] = []
    chosen = {role: name for role, name in table.columns.items() if name in names}
    read = replace(table, columns={**chosen, "path": column}, tell=told.append)
    try:
        return beside.NamingTable(member, list(tables.read(read)), told, nearby)
    except HeadstartError as error:
        return beside.NamingTable(member, [], told, nearby, error.message)


def _names_others(records: Sequence[Mapping[str, Any]], nearby: Nearby) -> str | None:
    """Why no column names a picture a row, where one has what pictures are called; else None."""
    counts = Counter(
        name for record in records for name, value in record.items() if _is_picture(value)
    )
    if not counts or 2 * max(counts.values()) < len(records):
        return None
    column = max(counts, key=lambda name: counts[name])
    said = [str(one[column]) for one in records if _is_picture(one.get(column))]
    found = [nearby.find(one) for one in said]
    missing = [path for path, one in zip(said, found, strict=True) if one is None]
    where = f"of its first {len(records)} rows" if len(records) > 1 else "of its row"
    if missing:
        return (
            f"{where} {len(missing)} name pictures that are not in the archive, such as "
            f"{shown(missing[0])}: put them in it as it names them, or leave those rows out"
        )
    files = {one.index for one in found if one is not None}
    column = shown(column, 60)
    return f"{where} {len(found)} name {len(files)} picture(s) in `{column}`: a row each is read"


def _is_picture(value: object) -> bool:
    return isinstance(value, str) and images.extension(plain(value)) in images.EXTENSIONS


def sidecars(
    nearby: Nearby, told: Iterable[tuple[FileInTree, str, bytes]]
) -> beside.NamingTable | None:
    """The files that lie beside a picture of their name and say its label, as one table: of each
    the file, the picture's path and what the file has. Raises invalid_json for one that is none.
    """
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
    it says nothing. Raises invalid_json."""
    if path.lower().endswith(".cls"):
        return data.decode("utf-8", "replace").strip()[:1000] or None
    try:
        told = from_json(data)
    except ValueError as error:
        why = f"{shown(path)} is not JSON: {str(error)[:80]}"
        raise HeadstartError("invalid_json", why, param=shown(path)) from error
    if not isinstance(told, dict):
        return None
    said = [
        told[name] for name in told if columns.folded(str(name)) in (*columns.USUAL["label"], "cls")
    ]
    plain = [one for one in said if isinstance(one, str | int | float | list)]
    return plain[0] if len(plain) == 1 else None
