"""The classes of a candidate beside the incumbent's: whoever asks an alias knows those it had."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.texts import alike, few

_NAMED = 10


@dataclass(frozen=True, slots=True)
class ClassChange:
    """What a move would take from an alias's answers, and what it would add."""

    lost: Sequence[str]
    added: Sequence[str]
    kept: int

    @classmethod
    def between(cls, incumbent: Sequence[str], candidate: Sequence[str]) -> ClassChange:
        """From the incumbent's classes to the candidate's."""
        before, after = set(incumbent), set(candidate)
        lost = [name for name in incumbent if name not in after]
        added = [name for name in candidate if name not in before]
        return cls(lost, added, len(before & after))

    def refusal(self) -> str | None:
        """Why the candidate cannot stand for the incumbent, in words; None where it has all."""
        said = self.lacks()
        return said and f'{said}; where that is meant, the gate says "classes": "any"'

    def lacks(self) -> str | None:
        """What the candidate has not of the incumbent's classes; None where it has all."""
        if not self.lost:
            return None
        otherwise = {alike(name): name for name in self.added}
        both = [(one, otherwise[alike(one)]) for one in self.lost if alike(one) in otherwise]
        spelled = [f"{now!r} for {before!r}" for before, now in both]
        if spelled:
            said = (
                f"the candidate spells classes otherwise than the incumbent: {few(spelled, _NAMED)}"
            )
        else:
            many = f"{len(self.lost)} of the incumbent's {len(self.lost) + self.kept} classes"
            said = f"the candidate lacks {many}: {few(list(map(repr, self.lost)), _NAMED)}"
        return said

    def told(self) -> dict[str, Any]:
        """As evidence shows it."""
        return {"classes_lost": _told(self.lost), "classes_added": _told(self.added)}


def unasked(candidate: Sequence[str], asked: Collection[str]) -> list[str]:
    """The candidate's classes of which no example was asked."""
    return [name for name in candidate if name not in asked]


def unasked_told(candidate: Sequence[str], asked: Collection[str]) -> dict[str, Any]:
    """The same, as evidence shows it."""
    return {"classes_unasked": _told(unasked(candidate, asked))}


def unasked_said(candidate: Sequence[str], asked: Collection[str]) -> str:
    """The same, as a promotion's reason goes on; nothing where every class was asked."""
    names = unasked(candidate, asked)
    if not names:
        return ""
    many = f"{len(names)} of its {len(candidate)} classes"
    return f"; no held-out example is of {many}: {few(list(map(repr, names)), _NAMED)}"


def _told(names: Sequence[str]) -> dict[str, Any]:
    return {"count": len(names), "labels": list(names[:_NAMED])}
