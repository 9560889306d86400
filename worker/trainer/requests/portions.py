"""What of a piece is asked at once: so much of it that an answer is a matter of seconds.

Others wait for what is asked at once, and a cancel does; what it costs hangs on how long texts are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from app.core.messages import Input

T = TypeVar("T")
_USUAL_TEXT = 250
"""Bytes: so many are as much as a picture."""
_AT_ONCE = 32.0
"""As many usual inputs are asked at once, or a single one that is more by itself."""


def weight(inputs: Iterable[Input]) -> float:
    """As how many usual inputs these count."""
    return sum(_weight(one) for one in inputs)


def is_long(inputs: Sequence[Input]) -> bool:
    """Whether these are more than may be asked at once."""
    return len(inputs) > 1 and weight(inputs) > _AT_ONCE


def _weight(one: Input) -> float:
    return max(1.0, len(one.data) / _USUAL_TEXT) if one.kind == "text" else 1.0


def portions(of: Iterable[T], weigh: Callable[[T], float]) -> Iterator[list[T]]:
    """Neighbours, as many together as may be asked at once."""
    some: list[T] = []
    room = _AT_ONCE
    for one in of:
        if some and weigh(one) > room:
            yield some
            some, room = [], _AT_ONCE
        some.append(one)
        room -= weigh(one)
    if some:
        yield some


def parts(inputs: Sequence[Input]) -> Iterator[tuple[Input, ...]]:
    """The inputs of one request, as many together as may be asked at once."""
    return (tuple(some) for some in portions(inputs, _weight))
