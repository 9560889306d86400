"""Tables of one upload in turn, where one may tell how others are to be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

One = TypeVar("One")


def by_turns(
    tables: Sequence[One], take: Callable[[One, bool], bool | None]
) -> Iterator[tuple[One, bool]]:
    """Each, and whether it was taken. One for which `take(table, may_wait)` gives None comes again
    when all others were; the last may not wait."""
    turns = list(tables)
    for turn, one in enumerate(turns):
        taken = take(one, turn < len(tables) - 1)
        if taken is None:
            turns.append(one)
        else:
            yield one, taken
