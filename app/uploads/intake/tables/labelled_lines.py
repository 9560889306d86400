"""Lines with their labels: fastText's `__label__a __label__b the text`, with a comma or without,
and `the text@label`, as the Financial PhraseBank is published.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from app.uploads.intake.label_rules import MARK, TAILED
from app.uploads.intake.rows import Row
from app.uploads.intake.tables.lines import numbered
from app.uploads.intake.tables.source import TableFile

_LABEL = re.compile(rf"{MARK}(\S*?)(?:,?\s[\s,]*|,?$)")


def rows(file: BinaryIO, table: TableFile) -> Iterator[Row]:
    """A row a line; several labels as a list. Raises encoding, row_too_large, and invalid_value for
    a line without a label behind it where the first has one.
    """
    tailed: bool | None = None
    for number, line in numbered(file, table):
        text, at, labels = line.strip(), 0, list[str]()
        if not text:
            continue
        tailed = not text.startswith(MARK) if tailed is None else tailed
        if tailed:
            yield _tailed(text, Row(table.name, number, {}))
            continue
        while found := _LABEL.match(text, at):
            labels.append(found[1])
            at = found.end()
        label = labels[0] if len(labels) == 1 else labels or None
        yield Row(table.name, number, {"text": text[at:], "label": label})


def _tailed(text: str, row: Row) -> Row:
    found = TAILED.fullmatch(text)
    if found is None:
        raise row.error("invalid_value", "the line does not end in `@` and its label")
    return Row(row.table, row.number, {"text": found[1], "label": found[2]})
