"""Columns of yes and no that say which examples are held out: `is_valid`, `is_test`, `in_train`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.manifest import Split
from app.uploads.intake.names import shown
from app.uploads.intake.rows import Row
from app.uploads.intake.splits import SPLITS
from app.uploads.intake.tables.source import TableFile

YES = frozenset({"1", "true", "yes", "y", "t", "x"})
NO = frozenset({"0", "false", "no", "n", "f"})
_NAMES: Mapping[Split, str] = {
    "train": "is_train is_training in_train in_training for_train for_training is_trainset",
    "val": "is_valid is_val is_validation is_dev in_val in_valid in_validation in_dev for_valid "
    "for_val for_validation for_dev",
    "test": "is_test is_testing is_eval is_evaluation is_holdout is_held_out holdout hold_out "
    "held_out heldout in_test in_testing in_eval in_holdout for_test for_testing for_eval "
    "for_evaluation",
}
FLAGS: Mapping[str, Split] = {
    name: split for split, names in _NAMES.items() for name in names.split()
}
"""What columns are called that say of a split whether the example is in it, as fastai's do."""
BARE = frozenset({"train", "training", "test", "testing", "eval"}) | {
    *("val", "valid", "validation", "dev")
}
"""What they are called as well: a class, a result or a mark of quality, unless each row says yes in
one of several."""
_QUALITY = frozenset({"is_valid"})
"""What may mark as well what is good: as no more than half are held out, most are good."""


@dataclass(slots=True)
class HeldOutFlags:
    """The columns that say which split a row is in, and that of each."""

    table: TableFile
    columns: Mapping[str, Split]
    doubtful: bool = False
    rows: int = 0
    held: int = 0

    def see(self, row: Row, values: Mapping[str, Any]) -> Split | None:
        """The row's split; None where its cells are blank, or only say what is not held out, as
        then it is drawn where no row says any. Raises invalid_value for what is
        neither yes nor no, and for a row of two splits, or of none."""
        said = {name: self._read(row, name, values.get(name)) for name in self.columns}
        yes = {self.columns[name] for name, one in said.items() if one}
        if len(yes) > 1:
            raise row.error("invalid_value", f"it is in {' and in '.join(sorted(yes))} by {self}")
        if not yes and None in said.values():
            return None
        split = next(iter(yes), None) or self._rest(row)
        self.rows += 1
        self.held += split != "train"
        return split if split != "train" or "train" in self.columns.values() else None

    def check(self) -> None:
        """Raise schema_mismatch where most rows are held out by what may mark what is good."""
        if self.doubtful and 2 * self.held > self.rows:
            said = f"{self} is yes in {self.held} of {self.rows} rows, and may mark what is good: "
            hint = "leave it out, or say train, val or test in a column split"
            raise Row(self.table.name, 1, {}).error("schema_mismatch", said + hint)

    def _rest(self, row: Row) -> Split:
        """The split of what is in none that a column speaks of."""
        others: list[Split] = ["train", "test", "val"]
        left = [one for one in others if one not in self.columns.values()]
        if not left:
            raise row.error("invalid_value", f"it is in none of the splits by {self}")
        return left[0]

    def _read(self, row: Row, name: str, value: Any) -> bool | None:
        word = _word(value)
        if word and word not in YES | NO:
            why = f"`{shown(name, 40)}` is {shown(str(value), 60)!r}, and yes or no in rows before"
            raise row.error("invalid_value", f"{why}: write 1 or 0")
        return word in YES if word else None

    def __str__(self) -> str:
        return ", ".join(f"`{shown(name, 40)}`" for name in self.columns)


def held_out(
    table: TableFile, free: Mapping[str, str], sample: Sequence[Mapping[str, Any]]
) -> HeldOutFlags | None:
    """The columns that say what is held out, of the `free` ones as they are called folded, which is
    told; None where there are none that can say nothing else."""
    told = {name: plain for name, plain in free.items() if plain in FLAGS or plain in BARE}
    told = {name: plain for name, plain in told.items() if _is_flag(sample, name)}
    every: dict[str, Split] = {
        name: FLAGS.get(plain) or SPLITS[plain] for name, plain in told.items()
    }
    flags = {name: split for name, split in every.items() if told[name] in FLAGS}
    found = every if _is_partition(sample, every) else flags
    if not found or not _agree(sample, found):
        return None
    doubtful = len(found) == 1 and told[next(iter(found))] in _QUALITY
    if doubtful and 2 * _count(sample, found) > len(sample):
        return None
    held = HeldOutFlags(table, found, doubtful)
    some = ", ".join(f"yes in `{shown(name, 40)}` is {split}" for name, split in found.items())
    said = f"{held} says which rows are held out: {some}; leave it out if it says something else"
    table.warn("column_assumed", said)
    return held


def _is_flag(sample: Sequence[Mapping[str, Any]], name: str) -> bool:
    said = {_word(row.get(name)) for row in sample} - {""}
    return bool(said) and said <= YES | NO


def _is_partition(sample: Sequence[Mapping[str, Any]], columns: Mapping[str, Split]) -> bool:
    """Whether each row says yes in one of several columns, of which one is of training."""
    alone = all(sum(_word(row.get(name)) in YES for name in columns) == 1 for row in sample)
    return len(columns) > 1 and "train" in columns.values() and alone


def _agree(sample: Sequence[Mapping[str, Any]], columns: Mapping[str, Split]) -> bool:
    """Whether no row is in two splits, or, where all three have a column, in none."""
    counts = [sum(_word(row.get(name)) in YES for name in columns) for row in sample]
    least = 1 if len(set(columns.values())) > 2 else 0
    return len(set(columns.values())) == len(columns) and all(least <= n < 2 for n in counts)


def _count(sample: Sequence[Mapping[str, Any]], columns: Mapping[str, Split]) -> int:
    return sum(_word(row.get(name)) in YES for row in sample for name in columns)


def _word(value: Any) -> str:
    """What a cell says: pandas writes 1.0 where a column has gaps."""
    word = "" if value is None else str(value).strip().casefold()
    return "" if word == "nan" else word.removesuffix(".0")
