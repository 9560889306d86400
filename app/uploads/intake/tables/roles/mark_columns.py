"""Which columns of 0 and 1 are the labels of a table, one a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.uploads.intake.names import shown
from app.uploads.intake.rows import Row
from app.uploads.intake.tables.roles import marks, rivals, split_guess
from app.uploads.intake.tables.roles.names import FURTHER, folded, matching
from app.uploads.intake.tables.source import MARK, TableFile


def marked(
    table: TableFile,
    header: Row,
    places: Mapping[str, str],
    names: Sequence[str],
    sample: Sequence[Mapping[str, Any]],
) -> tuple[str, ...]:
    """The columns with one mark a class: those that the caller names, or where no column says the
    label those that have marks; none where there are fewer than two and nobody has said that there
    may be several labels, or where a cell has several.

    Raises schema_mismatch where another column may be the label.
    """
    if table.marks:
        return tuple(matching(names, told)[0] for told in table.marks)
    label = places.get("label")
    if "label" in table.columns or (label and folded(label) not in FURTHER["label"]):
        return ()
    free = [name for name in names if name not in places.values()]
    free = [name for name in free if not split_guess.is_no_class(folded(name))]
    found = marks.columns(sample, free) if table.rules.separator is None else []
    if len(found) < (1 if table.rules.several and label is None else 2):
        return ()
    rest = {name: folded(name) for name in free if name not in found}
    if table.rules.judging or not table.rules.several:
        rivals.check(header, sample, found, rest, label)
    some = ", ".join(f"`{shown(name, 40)}`" for name in found[:10]) + (", …" if found[10:] else "")
    said = f"columns of 0 and 1 are taken for the labels: {some}"
    table.warn("column_assumed", f"{said}; label_columns says otherwise")
    table.assume({f"{MARK}{name}": name for name in found})
    return tuple(found)
