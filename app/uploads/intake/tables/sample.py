"""The first rows of a table with all that stands in them, whatever its columns are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from app.uploads.intake.tables import columnar, delimited, encodings, objects
from app.uploads.intake.tables.source import TableFile

MOST = 1000


def sample(table: TableFile) -> tuple[list[str], list[Mapping[str, Any]]]:
    """The names of its columns, and up to 1,000 rows. Raises the codes of tables."""
    # whoever reads it tells what is doubtful
    table = replace(table, tell=lambda _: None, assume=lambda _: None)
    if table.kind in ("parquet", "xlsx"):
        names, found = columnar.plain(table, MOST)
        return names, [values for _, values in found]
    with encodings.opened(table) as file:
        if table.kind == "csv":
            names, records = delimited.plain(file, table)
            next(records)
            cells = islice((cells for _, _, cells in records), MOST)
            return names, [dict(zip(names, row, strict=False)) for row in cells]
        listed: list[Mapping[str, Any]] = list(islice(objects.plain(file, table), MOST))
    return list(dict.fromkeys(name for row in listed for name in row)), listed
