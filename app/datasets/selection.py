"""Which examples of a version a list shows, and in which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from app.core.errors import HeadstartError
from app.core.manifest import Example, Split

ListOrder = Literal["stored", "classes"]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Examples by label, split and whether a problem keeps them from being used; None is any."""

    label: str | None = None
    split: Split | None = None
    excluded: bool | None = None
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
        )


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
