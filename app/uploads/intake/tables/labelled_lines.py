"""fastText's lines: `__label__a __label__b the text`, with a comma or without."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from app.uploads.intake.label_rules import MARK
from app.uploads.intake.rows import Row
from app.uploads.intake.tables.lines import numbered
from app.uploads.intake.tables.source import TableFile

_LABEL = re.compile(rf"{MARK}(\S*?)(?:,?\s[\s,]*|,?$)")


def rows(file: BinaryIO, table: TableFile) -> Iterator[Row]:
    """A row a line; several labels as a list. Raises encoding, row_too_large, invalid_value."""
    for number, line in numbered(file, table):
        text, at, labels = line.strip(), 0, list[str]()
        if not text:
            continue
        while found := _LABEL.match(text, at):
            labels.append(found[1])
            at = found.end()
        label = labels[0] if len(labels) == 1 else labels or None
        yield Row(table.name, number, {"text": text[at:], "label": label})
