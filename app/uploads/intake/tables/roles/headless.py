"""Tables without a row of columns' names, as lists of texts are often published: columns are called
by their numbers, from 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from app.uploads.intake.labels.pairs import (
    LabelledTexts,
    Sample,
    cells,
    pair,
    reads,
    repeats,
    stands_out,
)
from app.uploads.intake.tables.roles.names import FURTHER, READ_ANYWAY, USUAL, folded
from app.uploads.intake.tables.source import TableFile

NONE: Final = "none"
"""What the form's field `header` says of such a table."""
_PAIR = 2
_NAMES = frozenset((*READ_ANYWAY, *(one for names in USUAL.values() for one in names))) | {
    one for names in FURTHER.values() for one in names
}


def numbers(count: int) -> list[str]:
    """What the columns are called."""
    return [str(number) for number in range(1, count + 1)]


def seen(table: TableFile, names: Sequence[str], sample: Sample) -> TableFile | None:
    """The table as one without names, where the row `names` in their place is an example like those
    below it: of two columns the one has a label that comes again, the other texts, and nobody has
    said or called either, which is told; or as the dataset's first file was. None where it has
    names, or may have.
    """
    written = [name for name in names if name]
    if table.header or table.paths:
        return None
    if (found := _example(table, written, sample)) is not None:
        called = dict(zip(names, numbers(len(names)), strict=True))
        columns = {role: called[name] for role, name in found._asdict().items()}
        return _told(table, columns, found.label)
    if table.former.header == NONE and not has_names(written):
        known = table.former.columns.get("text", "")
        place = names[int(known) - 1] if known.isdecimal() and int(known) <= len(names) else ""
        return None if stands_out(place, sample, place) else replace(table, header=NONE)
    return None


def _example(table: TableFile, written: Sequence[str], sample: Sample) -> LabelledTexts | None:
    """The two cells of the first row, where the one is a label that comes again below, whatever it
    says, and the other a text as those below it are."""
    said = table.columns or table.marks or not table.labelled
    if said or not len(set(written)) == _PAIR == len(written):
        return None
    found = pair(written, sample)
    if found is None or found.label not in cells(sample, found.label):
        return None
    named = has_names([found.text]) or stands_out(found.text, sample, found.text)
    return None if named or found.text in cells(sample, found.text) else found


def has_names(cells: Sequence[str]) -> bool:
    """Whether a row has the name of a column."""
    return any(folded(cell) in _NAMES for cell in cells)


def settled(table: TableFile, names: Sequence[str], sample: Sample) -> TableFile:
    """A table that has no names, with the columns of label and text that can be told from their
    cells, where nobody has said them."""
    former = {role: name for role, name in table.former.columns.items() if name in names}
    said = {**former, **table.columns}
    free = [name for name in names if name not in {*said.values(), *table.marks}]
    texts = [name for name in free if reads(sample, name)]
    labels = [name for name in free if repeats(sample, name)]
    found = {"text": texts, "label": labels if table.labelled and not table.marks else []}
    columns = {role: some[0] for role, some in found.items() if len(some) == 1 and role not in said}
    return replace(table, columns={**columns, **table.columns})


def _told(table: TableFile, columns: Mapping[str, str], label: str) -> TableFile:
    table.warn(
        "column_assumed",
        f"{table.name} has no row of columns' names: its first row is an example, as its label "
        f"{label[:40]!r} comes again below; column {columns['label']} is read as the label, column "
        f"{columns['text']} as the text (header=names says otherwise)",
    )
    table.assume({**columns, "header": NONE})
    return replace(table, header=NONE, columns=columns)
