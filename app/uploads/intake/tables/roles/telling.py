"""Warnings of columns that are texts and are not read, and of texts that are none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.uploads.intake.names import shown
from app.uploads.intake.tables.source import TableFile

_SECOND = (
    "text_pair text_b textb text2 text_2 sentence2 sentence_2 sentence_b question2 question_2 "
    "query2 premise hypothesis second_text passage context"
)
SECONDS = frozenset(_SECOND.split())
"""What the other text of a pair is called; one text an example is read."""
WORDS = 5
"""Of a cell, in the mean, from which a column has texts."""
ENOUGH = 5
"""Cells that tell what a column has."""
_BARE = re.compile(r"[+-]?\d+(?:[.,]\d+)?")


def say_unread_texts(
    table: TableFile, free: Mapping[str, str], text: str, sample: Sequence[Mapping[str, Any]]
) -> None:
    """Warn of columns that hold texts, or are called as the other text of a pair, and are left
    unread beside the `text`; `free` are they as they are called folded."""
    unread = [name for name in free if free[name] in SECONDS or _has_texts(sample, name)]
    if unread:
        some = ", ".join(f"`{shown(name, 40)}`" for name in unread[:10])
        table.warn(
            "column_unread",
            f"not read: {some}; one text an example is, here `{shown(text, 40)}`: if the "
            "label depends on others, put them into one column, or say text_column",
        )


def _has_texts(sample: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether the cells of a column have several words in the mean, and most are said once."""
    cells = [row[name] for row in sample if isinstance(row.get(name), str) and row[name].strip()]
    words = sum(len(cell.split()) for cell in cells)
    return bool(cells) and words >= WORDS * len(cells) and 2 * len(set(cells)) > len(cells)


def say_numbers(table: TableFile, name: str | None, sample: Sequence[Mapping[str, Any]]) -> None:
    """Tell of texts that are numbers alone, which are rather ids or measurements of something."""
    said = [str(row[name]).strip() for row in sample if name and row.get(name) not in (None, "")]
    numbers = [cell for cell in said if _BARE.fullmatch(cell)]
    if name and "text" not in table.columns and len(numbers) == len(said) >= ENOUGH:
        why = "the texts are numbers alone; text_column says which column has words"
        table.warn("column_assumed", f"`{shown(name, 60)}`, such as {shown(said[0], 40)}: {why}")


def hint(missing: Sequence[str], places: Mapping[str, str]) -> str:
    """What says which columns they are."""
    if "text" in missing and "path" in places:
        return "; it names pictures: send a zip of it and them"
    said = [f"{role}_column" for role in missing if role != "path"]
    told = "says which it is" if len(said) == 1 else "say which they are"
    if said and "path" not in missing:
        told += " (the first row is read as the columns' names; with header=none it is an example,"
        told += " and the columns are called by their numbers, from 1)"
    return f"; {' and '.join(said)} {told}" if said else ""


def has(names: Sequence[str]) -> str:
    """The first columns that there are."""
    return "it has: " + (", ".join(shown(name, 30) for name in names[:10] if name) or "nothing")
