"""Which examples of a version a list shows, and in which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Literal

from fastapi import Query

from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.core.manifest import Example, Split
from app.http.dependencies import Services
from app.infra.database import reading
from app.infra.repositories import models

ListOrder = Literal["stored", "classes"]
Suspect = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=200,
        description="A model's id, or an alias: only examples whose label looks wrong to it.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Examples by label, split, whether a problem keeps them from being used, and whether they have
    still, unconfirmed, the labels that `doubted` has by their ids; None is any.
    """

    label: str | None = None
    split: Split | None = None
    excluded: bool | None = None
    doubted: Mapping[str, frozenset[str]] | None = None
    order: ListOrder = "stored"

    def page(
        self, examples: Iterable[Example], bad: set[str], *, after: str | None, limit: int
    ) -> list[Example]:
        """At most `limit` of them, those behind `after`. Raises invalid_request without such one.

        `bad` are the ids of those that are excluded.
        """
        ordered = examples if self.order == "stored" else in_turn(list(examples))
        wanted = (one for one in _behind(ordered, after) if self._takes(one, bad))
        return list(islice(wanted, limit))

    def _takes(self, example: Example, bad: set[str]) -> bool:
        return (
            self.label in (None, *example.names)
            and self.split in (None, example.split)
            and self.excluded in (None, example.id in bad)
            and (self.doubted is None or self._doubts(example, self.doubted))
        )

    def _doubts(self, example: Example, doubted: Mapping[str, frozenset[str]]) -> bool:
        return not example.confirmed and doubted.get(example.id) == frozenset(example.names)


def doubted_by(
    services: Services, caller: Identity, model: str | None
) -> dict[str, frozenset[str]] | None:
    """By their ids the labels of the examples that look wrong to a model; None without one.

    Raises not_found where there is no such model or alias.
    """
    if model is None:
        return None
    with reading(services.sessions) as session:
        try:
            row = models.find(session, organisation_id=caller.organisation_id, name=model)
        except HeadstartError as error:
            raise HeadstartError(error.code, error.message, param="suspect") from error
        advice = row.card.get("advice") or {}
    suspects = advice.get("probably_mislabelled") or []
    return {
        one["example_id"]: frozenset(one["labels"] if "labels" in one else [one["label"]])
        for one in suspects
    }


def in_turn(examples: Sequence[Example]) -> list[Example]:
    """One of each class in turn (the first of several), by name, each class in its own order."""
    seen: Counter[str] = Counter()
    places: list[tuple[int, str]] = []
    for example in examples:
        name = example.names[0] if example.names else ""
        places.append((seen[name], name))
        seen[name] += 1
    order = sorted(range(len(examples)), key=places.__getitem__)
    return [examples[at] for at in order]


def _behind(examples: Iterable[Example], after: str | None) -> Iterator[Example]:
    rest = iter(examples)
    if after is not None and not any(example.id == after for example in rest):
        raise HeadstartError(
            "invalid_request", "after: the version has no such example", param="after"
        )
    yield from rest
