"""Columns beside the label that may contradict it: other people's answers in the same classes, and
marks of rows that are not to count. They are watched through all rows, and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.uploads.intake.names import shown
from app.uploads.intake.tables.roles.beside_labels import (
    LABEL_WORDS,
    LEFT_OUT,
    NO_LABEL_WORDS,
    OPEN,
    OTHERS,
    STATES,
    WEIGHTS,
)
from app.uploads.intake.tables.roles.held_out import YES
from app.uploads.intake.tables.roles.named_numbers import NamedNumbers
from app.uploads.intake.tables.source import TableFile

MOST = 2_000
"""Different values from which on a column has no labels."""


@dataclass(slots=True)
class _Other:
    """A column that may have labels: how often it says what, and what else than the label."""

    said: Counter[str] = field(default_factory=Counter)
    differs: int = 0
    first: tuple[str, str] = ("", "")


@dataclass(slots=True)
class ColumnWatch:
    """What the columns of a table say of its label in all rows, and of rows that are not to count.

    Watched are those of `others` whose values in the first rows were the label's.
    """

    others: dict[str, _Other]
    marks: Mapping[str, str]
    """The columns that may say that a row is not to count, as they are called folded."""
    labels: set[str] = field(default_factory=set)
    found: dict[str, Counter[str]] = field(default_factory=dict)
    numbers: NamedNumbers | None = None
    """The numbers of labels that stand beside their names."""

    def see(self, label: Any, values: Mapping[str, Any]) -> None:
        """Look at one row."""
        for name, plain in self.marks.items():
            word = _word(values.get(name))
            if _says_no(plain, word):
                self.found.setdefault(name, Counter())[word] += 1
        told = _word(label)
        if self.numbers is not None:
            self.numbers.see(values)
        if not self.others or not told:
            return
        self.labels.add(told)
        for name, other in list(self.others.items()):
            self._compare(name, other, told, _word(values.get(name)))

    def _compare(self, name: str, other: _Other, label: str, word: str) -> None:
        if not word:
            return
        other.said[word] += 1
        if word != label:
            other.first = other.first if other.differs else (label, word)
            other.differs += 1
        if len(other.said) > MOST:
            del self.others[name]

    def tell(self, table: TableFile, label: str | None) -> None:
        """Tell of what contradicts the label, and of rows that may not be meant to count."""
        for name, other in self.others.items():
            if other.differs and _are_labels(other.said, self.labels):
                mine, theirs = (shown(one, 30) for one in other.first)
                said = f"not read: `{shown(name, 40)}`, which has the same labels as "
                said += f"`{shown(str(label), 40)}` and another in {other.differs} row(s), first "
                said += f"{theirs!r} for {mine!r}; label_column says which of them counts"
                table.warn("column_unread", said)
        if self.numbers is not None:
            self.numbers.tell(table)
        for name, words in self.found.items():
            some = ", ".join(f"{shown(word, 30)!r} ({n:,})" for word, n in words.most_common(5))
            said = f"not read: `{shown(name, 40)}`, which says {some}; if such rows are not to "
            table.warn("column_unread", f"{said}count, leave them out")


def watch(
    free: Mapping[str, str],
    sample: Sequence[Mapping[str, Any]],
    label: str | None,
    numbers: NamedNumbers | None = None,
) -> ColumnWatch | None:
    """What watches the `free` columns, as they are called folded; None where none is to be."""
    marks = {name: plain for name, plain in free.items() if plain in LEFT_OUT | WEIGHTS | STATES}
    others = {} if label is None else _others(free, sample, label)
    return ColumnWatch(others, marks, numbers=numbers) if marks or others or numbers else None


def _others(
    free: Mapping[str, str], sample: Sequence[Mapping[str, Any]], label: str
) -> dict[str, _Other]:
    """The columns that say in the first rows mostly what labels are."""
    labels = {_word(row.get(label)) for row in sample} - {""}
    found = {}
    for name, plain in free.items():
        said = Counter(word for row in sample if (word := _word(row.get(name))))
        alike = _are_labels(said, labels) and not _are_marks(labels | set(said))
        if alike or _is_called_so(plain):
            found[name] = _Other()
    return found


def _is_called_so(plain: str) -> bool:
    words = set(plain.replace(".", "_").split("_"))
    return plain in OTHERS or bool(LABEL_WORDS & words and not NO_LABEL_WORDS & words)


def _are_labels(said: Counter[str], labels: set[str]) -> bool:
    """Whether most of what a column says are labels, and at least two of them."""
    mine = {word: count for word, count in said.items() if word in labels}
    return 4 * sum(mine.values()) >= 3 * said.total() and len(said) > 1


def _are_marks(words: set[str]) -> bool:
    """Whether all are numbers, or yes and no, which say in any column whatever it asks."""
    return all(word.replace(".", "", 1).lstrip("-").isdecimal() for word in words) or (
        words <= {"true", "false", "yes", "no", "y", "n", "t", "f"}
    )


def _says_no(plain: str, word: str) -> bool:
    """Whether a column of this name says with the word that a row is not to count."""
    if plain in WEIGHTS:
        return word in ("0", "0.0", "-0")
    return word in YES if plain in LEFT_OUT else word in OPEN


def _word(value: Any) -> str:
    """What a cell says, in one case: pandas writes 1.0 where a column has gaps."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None or isinstance(value, dict | list):
        return ""
    word = str(value).strip().casefold()
    return "" if word == "nan" or len(word) > 200 else word.removesuffix(".0")
