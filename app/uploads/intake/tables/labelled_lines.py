"""Lines with their labels: fastText's `__label__a __label__b the text`, with a comma or without,
`the text@label`, as the Financial PhraseBank is published, and `the text;label`, as a table.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from app.uploads.intake.labels.pairs import is_pairs, parted
from app.uploads.intake.labels.rules import GLUED, MARK, SPACED, is_fasttext, is_tailed
from app.uploads.intake.names import shown
from app.uploads.intake.rows import Row
from app.uploads.intake.tables import delimited
from app.uploads.intake.tables.lines import numbered
from app.uploads.intake.tables.source import TableFile

_LABEL = re.compile(rf"{MARK}(\S*?)(?:,?\s[\s,]*|,?$)")
HEAD = 4096
_TOLD = 10
"""Labels that are named, the most frequent first."""


def rows(file: BinaryIO, table: TableFile) -> Iterator[Row]:
    """A row a line; several labels as a list. Raises encoding, row_too_large, and invalid_value for
    a line without a label behind it where the first has one.
    """
    head = file.read(HEAD)
    file.seek(0)
    whole = head if len(head) < HEAD else head.rpartition(b"\n")[0]
    if (is_pairs(head) or parted(whole)) and not (is_fasttext(head) or is_tailed(head)):
        yield from delimited.rows(file, table)
        return
    lines = ((number, line.strip()) for number, line in numbered(file, table))
    said = ((number, text) for number, text in lines if text)
    first = next(said, None)
    if first is None:
        return
    every = itertools.chain([first], said)
    if first[1].startswith(MARK):
        yield from (_marked(text, Row(table.name, number, {})) for number, text in every)
    else:
        yield from _tailed(every, table)


def _marked(text: str, row: Row) -> Row:
    at, labels = 0, list[str]()
    while found := _LABEL.match(text, at):
        labels.append(found[1])
        at = found.end()
    label = labels[0] if len(labels) == 1 else labels or None
    return Row(row.table, row.number, {"text": text[at:], "label": label})


def _tailed(lines: Iterable[tuple[int, str]], table: TableFile) -> Iterator[Row]:
    """Lines with their labels behind `@`, all as the first has them; tells that they are taken."""
    form: re.Pattern[str] | None = None
    labels = Counter[str]()
    for number, text in lines:
        form = form or (GLUED if GLUED.fullmatch(text) else SPACED)
        found = form.fullmatch(text)
        if found is None:
            row = Row(table.name, number, {})
            raise row.error("invalid_value", "the line does not end in `@` and its label")
        labels[found[2]] += 1
        yield Row(table.name, number, {"text": found[1], "label": found[2]})
    most = ", ".join(f"{shown(one, 40)} ({count:,})" for one, count in labels.most_common(_TOLD))
    more = f" and {len(labels) - _TOLD:,} more" if len(labels) > _TOLD else ""
    said = f"what stands behind the last `@` of each line of {table.name} is read as its label: "
    table.warn(
        "column_assumed",
        f"{said}{most}{more}; if it is a part of the texts, send a table with the columns text and "
        "label",
    )
