"""A column that says of each row whether its label is there, as melted tables, Open Images and
people who review others' labels have one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.uploads.intake.names import shown
from app.uploads.intake.rows import Row
from app.uploads.intake.tables.roles.marks import is_id
from app.uploads.intake.tables.source import TableFile

_MARKS = (("1", "0"), ("true", "false"))
_WORDS = (("yes", "no"), ("y", "n"), ("t", "f"), ("present", "absent"), ("positive", "negative"))
PAIRS = (*_MARKS, *_WORDS, ("1", "-1"))
"""How a column says that a label is there, and that it is not."""
_SURE = "present presence is_present holds exists applies has_label is_label truth_value"
_MELTED = "value values positive is_positive"
HOLDS: Mapping[str, Sequence[tuple[str, str]]] = {
    **dict.fromkeys(_SURE.split(), PAIRS),
    **dict.fromkeys(("confidence", *_MELTED.split()), _MARKS),
}
"""What such columns are called, and how each may say it: a `value` of yes or no is more often
another question's answer."""
SEVERAL_ONLY = frozenset(_MELTED.split())
"""Those that say so only beside several rows of one text or picture."""
_REVIEWED = (
    "correct is_correct verified is_verified valid agree agreed agrees accept accepted approved "
    "confirmed relevant is_relevant match matches label_correct label_ok"
)
REVIEWED = frozenset(_REVIEWED.split())
"""What columns are called that may say so, or something else: they are told."""


@dataclass(slots=True)
class DenyingColumn:
    """The column `name`, and the `pairs` of words in which it has said so far what it says.

    Until it has said that a label is not there, it may as well be another column, and whatever
    else stands in it ends that it is read.
    """

    table: TableFile
    name: str
    pairs: Sequence[tuple[str, str]]
    heeded: bool = False

    def denies(self, row: Row, value: Any) -> bool:
        """Whether the row's label is not there. Raises invalid_value for what says neither, where
        others say so."""
        word = _word(value)
        left = [pair for pair in self.pairs if word in pair]
        if not left:
            self._end(row, value)
            return False
        self.pairs = left
        if word == left[0][0]:
            return False
        if not self.heeded:
            self.heed()
        return True

    def heed(self) -> None:
        """Tell that it is heeded: it says of a row that its label is not there."""
        self.heeded = True
        absent = shown(self.pairs[0][1], 20)
        said = f"a row that has {absent} in the column `{shown(self.name, 60)}` says that its "
        said += "label is not there; leave the column out if it says something else"
        self.table.warn("column_assumed", said)

    def _end(self, row: Row, value: Any) -> None:
        if self.heeded:
            there, absent = self.pairs[0]
            what = f"{shown(str(value), 40)!r}" if _word(value) else "empty"
            said = f"`{shown(self.name, 40)}` is {what}, and other rows say with {there} and "
            said += f"{absent} whether their label is there: say it of this one, or leave the row "
            said += "out; leave the column out if it says something else"
            raise row.error("invalid_value", said)
        if self.pairs:
            _tell_unread(self.table, [self.name])
        self.pairs = ()


def holding(
    table: TableFile,
    free: Mapping[str, str],
    sample: Sequence[Mapping[str, Any]],
    label: str | None,
) -> DenyingColumn | None:
    """The column that says of each row whether its `label` is there, if one of the `free` ones (as
    they are called folded) is called so and says nothing else in the first rows: one that denies
    there before others. Those that may say so, and are not read, are told."""
    if label is None or not table.labelled:
        return None
    if any(table.rules.lists(row.get(label)) for row in sample):
        return None
    several = table.rules.several
    named = [name for name in free if free[name] in HOLDS]
    heard = [name for name in named if several or free[name] not in SEVERAL_ONLY]
    found = [(name, _pairs(sample, name, HOLDS[free[name]])) for name in heard]
    found = [(name, pairs) for name, pairs in found if pairs]
    if found:
        denying = [one for one in found if _denies(sample, *one)]
        taken = DenyingColumn(table, *(denying or found)[0])
        if denying:
            taken.heed()
        return taken
    said = [name for name in free if _pairs(sample, name, PAIRS) and not is_id(name)]
    told = [*named, *said] if several else [n for n in said if n in named or free[n] in REVIEWED]
    if told:
        _tell_unread(table, list(dict.fromkeys(told)))
    return None


def has_two_words(sample: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether the cells of a column that are not blank say yes and no in some way of `PAIRS`."""
    return bool(_pairs(sample, name, PAIRS))


def _tell_unread(table: TableFile, names: Sequence[str]) -> None:
    some = ", ".join(f"`{shown(name, 40)}`" for name in names[:10])
    said = f"not read: {some}; if one says that a row's label is not there, leave those rows "
    table.warn("column_unread", f"{said}out, or call it `present` with 1 and 0")


def _pairs(
    sample: Sequence[Mapping[str, Any]], name: str, pairs: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The pairs one of which all cells are that are not blank; none where there are no such."""
    said = {_word(row.get(name)) for row in sample} - {""}
    return [pair for pair in pairs if said and said <= set(pair)]


def _denies(
    sample: Sequence[Mapping[str, Any]], name: str, pairs: Sequence[tuple[str, str]]
) -> bool:
    return not {_word(row.get(name)) for row in sample}.isdisjoint({pair[1] for pair in pairs})


def _word(value: Any) -> str:
    """What a cell says, as `PAIRS` has it: pandas writes 1.0 where a column has gaps."""
    word = "" if value is None else str(value).strip().casefold()
    return word.removesuffix(".0")
