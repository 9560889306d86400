"""Which inputs are most worth a label: those that the model doubts, those unlike any that it knows,
and not the same one twenty times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import dist
from typing import Any

METHOD = (
    "margin and novelty, spread: an input's worth is the greater of 1 - (p1 - p2), where p1 and p2 "
    "are the two greatest probabilities, and of 1 - familiarity; of the most worth, each next one "
    "is that with the greatest worth times its distance to those before (a greedy k-centre)"
)
_POOL = 200
"""Of so many inputs that are most worth, those are chosen that lie apart."""
_FAR = 2.0**0.5
"""Distance of two embeddings of length one that have nothing in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An input that might be labelled; its embedding has length one."""

    id: str
    answer: Mapping[str, Any]
    embedding: Sequence[float]

    @property
    def uncertainty(self) -> float:
        """1 where two classes are equally probable, 0 where one is certain."""
        scores = [float(score) for score in self.answer["scores"].values()]
        if "labels" in self.answer:
            return 1.0 - min(abs(2 * score - 1.0) for score in scores)
        first, second = (*sorted(scores, reverse=True), 0.0, 0.0)[:2]
        return 1.0 - (first - second)

    @property
    def novelty(self) -> float:
        """The share of known inputs that are less strange; 0 where the head cannot tell."""
        familiarity = self.answer.get("familiarity")
        return 0.0 if familiarity is None else 1.0 - float(familiarity)

    @property
    def worth(self) -> float:
        """How much a label would tell."""
        return max(self.uncertainty, self.novelty)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A candidate, and how far it lies from those that were chosen before it."""

    candidate: Candidate
    distance: float | None


def choose(candidates: Sequence[Candidate], limit: int) -> list[Suggestion]:
    """At most `limit` of them, the one most worth first."""
    ranked = sorted(candidates, key=lambda one: (-one.worth, one.id))
    pool = ranked[: max(_POOL, 2 * limit)]
    nearest = [_FAR] * len(pool)
    chosen: list[Suggestion] = []
    while pool and len(chosen) < limit:
        at = max(range(len(pool)), key=lambda place: pool[place].worth * nearest[place])
        one, far = pool.pop(at), nearest.pop(at)
        chosen.append(Suggestion(one, far if chosen else None))
        nearest = [
            min(known, dist(other.embedding, one.embedding))
            for known, other in zip(nearest, pool, strict=True)
        ]
    return chosen
