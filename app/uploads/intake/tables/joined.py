"""The headers within a table: files were joined end to end, and each has brought its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.core.manifest import Problem
from app.uploads.intake.names import shown
from app.uploads.intake.rows import Row
from app.uploads.intake.tables import columns
from app.uploads.intake.tables.source import TableFile

SINGLY = 20
"""Headers that are told one by one; the rest share one more."""
_LONGEST = 60
"""Characters of what columns are called."""
MARK = "\ufeff"
"""The byte order mark, with which files begin as Excel saves them."""


def tell_other(table: TableFile, row: Row) -> None:
    """Warn of a row, its values by role, whose text (or path) and label are what such columns are
    called: it may be the header of another table."""
    roles = [role for role in ("text", "path", "label") if role in row.values]
    said = {role: row.values[role] for role in roles}
    if len(said) < 2 or "label" not in said or not all(map(_is_name, said, said.values())):
        return
    some = " and ".join(f"{shown(cell, 40)!r}" for cell in said.values())
    why = f"row {row.number} says {some}, as headers do: if it is the header of another table, "
    table.warn("labels_doubtful", f"{table.name}: {why}leave it out, or send the tables in a zip")


def is_other_header(cells: Sequence[str]) -> bool:
    """Whether a row of more or fewer cells is the header of another table: one cell is called as
    texts or pictures are, another as labels."""
    roles = [{role for role in ("text", "path", "label") if _is_name(role, one)} for one in cells]
    return any("label" in one for one in roles) and any({"text", "path"} & one for one in roles)


def _is_name(role: str, cell: Any) -> bool:
    known = (*columns.USUAL[role], *columns.FURTHER.get(role, ()))
    return isinstance(cell, str) and len(cell) < _LONGEST and columns.folded(cell) in known


class Headers:
    """A table's header, by which it is known again in rows below, which are told and left out.

    It is the same in another case, with other blanks, or with its columns in another order, which
    then holds for the rows below. A single column's is the same only as it is written. A table
    without names has no such rows.
    """

    def __init__(self, table: TableFile, names: Sequence[str]) -> None:
        self._table = table
        self._names = list(names)
        self._folded = [columns.folded(name) for name in names]
        self._longest = 2 * sum(map(len, names)) + 16
        self._order: list[int] | None = None
        self._further: list[Row] = []
        self._told = 0

    def repeated_by(self, row: Row, cells: Sequence[Any]) -> bool:
        """Whether a row is the header again."""
        if not self._names:
            return False
        said = self._said(cells)
        once = len(set(said)) == len(said)
        if said != self._folded and not (once and sorted(said) == sorted(self._folded)):
            return False
        other = said != self._folded
        self._order = [said.index(name) for name in self._folded] if other else None
        self._tell(row, " with its columns in another order, which holds below it" if other else "")
        return True

    def _said(self, cells: Sequence[Any]) -> list[str]:
        """The cells as columns' names are compared, none where they can be no such."""
        if not cells or any(not isinstance(cell, str) for cell in cells):
            return []
        if sum(map(len, cells)) > self._longest:
            return []
        if len(self._names) == 1 and cells[0].strip(f"{MARK} ") != self._names[0]:
            return []
        said = [columns.folded(cell) for cell in cells]
        while len(said) > len(self._names) and not said[-1]:
            said.pop()
        return said

    def ordered(self, cells: list[Any]) -> list[Any]:
        """A row's cells in the order of the first header."""
        if self._order is None or len(cells) < len(self._order):
            return cells
        return [cells[at] for at in self._order] + cells[len(self._order) :]

    def cut_off(self, row: Row, cells: list[str]) -> list[str]:
        """The cells without the header behind them, where the file before it ended without a line
        end, which is told; as they are in any other row."""
        most = len(self._names)
        if len(cells) != 2 * most - 1 or [cell.strip() for cell in cells[most:]] != self._names[1:]:
            return cells
        last = cells[most - 1].rstrip()
        kept = last.removesuffix(self._names[0]).rstrip(MARK)
        if not last.endswith(self._names[0]) or not kept:
            return cells
        said = f"row {row.number} has the header of another file at its end, and is read without it"
        self._table.warn("column_assumed", f"{self._table.name}: {said}")
        return [*cells[: most - 1], kept]

    def _tell(self, row: Row, how: str) -> None:
        self._told += 1
        if self._told < SINGLY:
            self._table.warn_left_out(row.where, f"row {row.number} repeats the header{how}")
        else:
            self._further.append(row)

    def tell_further(self) -> None:
        """Tell of those that were not told one by one, when all rows were read."""
        if not self._further:
            return
        first, count = self._further[0], len(self._further)
        more = f" (and so do {count - 1:,} more rows)" if count > 1 else ""
        said = f"{self._table.name}: row {first.number} repeats the header, and is left out{more}"
        self._table.tell(
            Problem(code="invalid_value", message=said, path=first.where, excluded=True)
        )
