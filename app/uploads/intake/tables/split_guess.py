"""A column that is not called `split` and may be one: `set`, `fold` and the like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.manifest import Split
from app.uploads.intake.names import shown
from app.uploads.intake.rows import Row
from app.uploads.intake.splits import SPLITS, read_name
from app.uploads.intake.tables.source import TableFile

NAMES = (
    *("set", "subset", "fold", "partition", "dataset", "data_set", "usage", "phase", "part"),
    *("splits", "split_name", "data_split", "dataset_split", "data_type"),
)
"""What columns of splits are called, and others as well: their values decide."""


@dataclass(slots=True)
class SplitGuess:
    """Whether one of `columns` has the splits: the first whose first value is a split's word."""

    table: TableFile
    columns: Sequence[str]
    taken: str | None = None

    def see(self, row: Row, values: Mapping[str, Any]) -> Split | None:
        """The row's split, None where no column says one.

        Raises invalid_value where the column that is taken has another value than a split's.
        """
        if self.taken is None:
            self._look(values)
        value = values.get(self.taken) if self.taken else None
        if value is None or not str(value).strip():
            return None
        said = read_name(str(value))
        if said is None:
            why = f"`{shown(str(self.taken), 40)}` is {shown(str(value), 60)!r}, and a split's word"
            hint = "use train, val or test, or rename the column if it says no splits"
            raise row.error("invalid_value", f"{why} in rows before: {hint}")
        return said.split

    def _look(self, values: Mapping[str, Any]) -> None:
        """Take the first column that says a split's word here; one that says another is none."""
        told = {name: str(values.get(name) or "").strip().lower() for name in self.columns}
        self.taken = next((name for name, word in told.items() if word in SPLITS), None)
        if self.taken is None:
            self.columns = [name for name, word in told.items() if not word]
            return
        said = f"the column `{shown(self.taken, 60)}` is taken for the split"
        self.table.warn("column_assumed", f"{said}; split_column says otherwise")
