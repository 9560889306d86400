"""Columns in which a word says that somebody has set the row aside: its label is not to count.

Such as are called after labels or their review say so by that word alone. Others (`status`) may
speak of anything: they are heeded while all that they say are words of labelling tools, and one of
those is said of nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from app.core.manifest import Problem
from app.uploads.intake.names import shown
from app.uploads.intake.tables.roles.beside_labels import STATES
from app.uploads.intake.tables.source import TableFile

_LABELS_OWN = (
    "annotation_status label_status labeling_status labelling_status record_status qa_status "
    "review_status assignment_status assignmentstatus"
)
_LEFT = (
    "rejected reject declined denied discarded discard deleted removed excluded skipped skip "
    "ignored ignore cancelled canceled invalid draft failed unlabeled unlabelled unannotated"
)
_NO = frozenset(_LEFT.split())
"""What says so of a label."""
_SURE = frozenset({"discarded", "skipped", "unlabeled", "unlabelled", "unannotated"})
"""What is said of labels alone; a draft may be one of a text, and what is rejected anything."""
_LABELLED = frozenset({"annotated", "labeled", "labelled", "submitted"})
_KEPT = (
    "completed,complete,reviewed,validated,done,accepted,approved,pending,todo,to do,in progress,"
    "in review,not started"
)
_BESIDE = _LABELLED | frozenset(_KEPT.split(","))
_REVIEWED = (
    "approved,approve,accepted,accept,corrected,pending,open,unreviewed,ok,needs review,"
    "not reviewed"
)


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """The words that set a row aside; those `beside` which they do, any where there are none; and
    `needed` ones, one of which tells what the column speaks of."""

    no: frozenset[str]
    beside: frozenset[str] = frozenset()
    needed: frozenset[str] = frozenset()

    def fits(self, said: Set[str]) -> bool:
        """Whether all that was said may be of it."""
        return not self.beside or said <= self.no | self.beside

    def tells(self, word: str, said: Set[str]) -> bool:
        """Whether the word sets its row aside."""
        return word in self.no and (not self.needed or bool(said & self.needed))


_OF_TOOLS = (
    _Vocabulary(_SURE | {"draft"}, _BESIDE | {"rejected"}, _SURE | _LABELLED),
    _Vocabulary(frozenset({"rejected"}), _BESIDE | _SURE | {"draft"}, _SURE),
)
_KNOWN: Mapping[str, tuple[_Vocabulary, ...]] = {
    **dict.fromkeys(sorted(STATES), _OF_TOOLS),
    **dict.fromkeys(_LABELS_OWN.split(), (_Vocabulary(_NO),)),
    "review": (
        *_OF_TOOLS,
        _Vocabulary(frozenset({"rejected", "reject"}), frozenset(_REVIEWED.split(","))),
    ),
    "answer": (_Vocabulary(frozenset({"reject", "ignore"}), frozenset({"accept"})),),
}


@dataclass(slots=True)
class StateColumn:
    """The column `name`, and what it may say as long as it has said nothing else."""

    table: TableFile
    name: str
    left: list[_Vocabulary]
    said: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    """Rows that were set aside, by their words."""

    def sets_aside(self, values: Mapping[str, Any]) -> str | None:
        """The word by which the row is set aside; None where it is not."""
        word = _word(values.get(self.name))
        if not word or not self.left:
            return None
        self.said.add(word)
        self.left = [one for one in self.left if one.fits(self.said)]
        if not any(one.tells(word, self.said) for one in self.left):
            return None
        self.counts[word] += 1
        return word

    def look(self, sample: Sequence[Mapping[str, Any]]) -> None:
        """Take the words of the first rows for said."""
        self.said |= {_word(row.get(self.name)) for row in sample} - {""}
        self.left = [one for one in self.left if one.fits(self.said)]

    def tell(self) -> None:
        """Tell how many rows were set aside, when all were read."""
        if self.counts:
            some = ", ".join(f"{shown(word, 30)!r} ({n:,})" for word, n in self.counts.items())
            said = f"{self.counts.total():,} row(s) say in `{shown(self.name, 60)}` that they were "
            said += f"set aside, {some}, and are left out; leave the column out if it says "
            said += "something else"
            name = self.table.name
            self.table.tell(Problem(code="unlabelled", message=said, path=name, excluded=True))


def states(
    table: TableFile, free: Mapping[str, str], sample: Sequence[Mapping[str, Any]]
) -> list[StateColumn]:
    """The columns that may set rows aside, of the `free` ones as they are called folded."""
    if not table.labelled:
        return []
    found = [
        StateColumn(table, name, [*_KNOWN[free[name]]]) for name in free if free[name] in _KNOWN
    ]
    for one in found:
        one.look(sample)
    return [one for one in found if one.left]


def _word(value: Any) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value).strip().casefold()
