"""fastText's lines: `__label__a __label__b the text`, with a comma or without."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from app.uploads.intake.label_rules import MARK
from app.uploads.intake.rows import Row
from app.uploads.intake.tables.lines import numbered
from app.uploads.intake.tables.source import TableFile

_LABELS = re.compile(rf"(?:{MARK}(\S*?),?(?:\s+|$))")


def rows(file: BinaryIO, table: TableFile) -> Iterator[Row]:
    """A row a line; several labels as a list. Raises encoding, row_too_large, invalid_value."""
    for number, line in numbered(file, table):
        rest, labels = line.strip(), list[str]()
        if not rest:
            continue
        while found := _LABELS.match(rest):
            labels.append(found[1])
            rest = rest[found.end() :].lstrip(" ,\t")
        label = labels[0] if len(labels) == 1 else labels or None
        yield Row(table.name, number, {"text": rest, "label": label})
