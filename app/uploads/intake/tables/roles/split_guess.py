"""A column that is not called `split` and may be one: `set`, `fold` and the like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.manifest import Split
from app.uploads.intake.names import shown
from app.uploads.intake.rows import Row
from app.uploads.intake.splits import SPLITS, read_name
from app.uploads.intake.tables.roles.beside_labels import NO_CLASS
from app.uploads.intake.tables.roles.held_out import BARE, FLAGS
from app.uploads.intake.tables.roles.holding import has_two_words
from app.uploads.intake.tables.source import TableFile

NAMES = (
    *("set", "subset", "fold", "partition", "dataset", "data_set", "usage", "phase", "part"),
    *("splits", "split_name", "data_split", "dataset_split", "data_type"),
)
"""What columns of splits are called, and others as well: their values decide."""
FOLDS = frozenset({"fold", "folds", "kfold", "k_fold", "cv_fold"})


def is_no_class(name: str) -> bool:
    """Whether a column of this folded name says where examples belong, or whether they count, and
    is no class."""
    return name in FLAGS or name in FOLDS or name in NAMES or name in NO_CLASS


def tell_held_out(
    table: TableFile, free: Mapping[str, str], sample: Sequence[Mapping[str, Any]]
) -> None:
    """Warn of columns that may say what is held out, in numbers or yes and no, and are left unread,
    by the `free` ones as they are called folded."""
    told = [
        name
        for name, plain in free.items()
        if plain in FLAGS
        or ((plain in BARE or plain in NAMES) and has_two_words(sample, name))
        or ((plain in FOLDS or plain in NAMES) and _is_numbered(sample, name))
    ]
    if told:
        some = ", ".join(f"`{shown(name, 40)}`" for name in told[:10])
        said = f"not read: {some}; a column `split` with train, val or test says what is held out"
        table.warn("column_unread", said)


def _is_numbered(sample: Sequence[Mapping[str, Any]], name: str) -> bool:
    cells = {str(row.get(name, "")).strip().removesuffix(".0") for row in sample} - {"", "None"}
    return bool(cells) and all(map(str.isdecimal, cells))


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
