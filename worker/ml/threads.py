"""How many threads a small computation gets: one, or it waits for the others more than it works."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

WORTH = 2e7
"""Multiplications in a matrix product from which a second thread pays, even on a busy machine."""


@contextmanager
def enough(multiplications: float) -> Iterator[None]:
    """One thread inside if the largest product is smaller than WORTH; the former number after.

    On a busy machine threads of small products wait for each other at every one of them: a fit of
    a quarter of a second was seen to take thirty times as long with two threads.
    """
    if multiplications >= WORTH or torch.get_num_threads() == 1:
        yield
        return
    with one():
        yield


def each(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """The results in the items' order, made side by side: a thread each, and one inside each.

    For items of middling size, whose own products a second thread makes slower rather than faster.
    """
    given = list(items)
    count = min(torch.get_num_threads(), len(given))
    if count < 2:
        return [work(item) for item in given]
    with one(), ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(work, given))


@contextmanager
def one() -> Iterator[None]:
    """One thread inside; the former number after."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
