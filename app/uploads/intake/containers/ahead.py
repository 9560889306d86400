"""Reading a few members ahead in a thread: unpacking and hashing leave Python's lock to others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")
MOST_BYTES = 8 * 1024 * 1024
"""Of members that are read ahead, whatever one of them has."""
MOST = 64


def read_ahead(
    read: Callable[[Item], Read], items: Sequence[Item], size: Callable[[Item], int]
) -> Generator[tuple[Item, Callable[[], Read]], None, None]:
    """Each item in order, and what gives (or raises) what was read of it; one thread reads.

    `size` is how many bytes an item has.
    """
    waiting: deque[tuple[Item, Future[Read]]] = deque()
    held, following = 0, iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
        try:
            for item in following:
                waiting.append((item, reader.submit(read, item)))
                held += size(item)
                while waiting and (held > MOST_BYTES or len(waiting) > MOST):
                    first, future = waiting.popleft()
                    held -= size(first)
                    yield first, future.result
            for first, future in waiting:
                yield first, future.result
        finally:
            reader.shutdown(cancel_futures=True)
