"""The first records of a table, looked at before they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import TypeVar

from app.core.errors import HeadstartError

MOST = 100
"""Records that are looked at, if they are not too long together."""
CHARACTERS = 1 << 20
Record = TypeVar("Record")


def looked_ahead(
    records: Iterator[Record], length: Callable[[Record], int]
) -> tuple[list[Record], Iterator[Record]]:
    """The first records, and all records; what is wrong with one is raised when it is met."""
    seen: list[Record] = []
    left = CHARACTERS
    try:
        for record in islice(records, MOST):
            seen.append(record)
            left -= length(record)
            if left < 0:
                break
    except HeadstartError as error:
        return seen, chain(seen, _raising(error))
    return seen, chain(seen, records)


def _raising(error: HeadstartError) -> Iterator[Record]:
    raise error
    yield
