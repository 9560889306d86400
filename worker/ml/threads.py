"""How many threads a small computation gets: one, or it waits for the others more than it works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

WORTH = 2e7
"""Multiplications in a matrix product from which a second thread pays, even on a busy machine."""


@contextmanager
def enough(multiplications: float) -> Iterator[None]:
    """One thread inside if the largest product is smaller than WORTH; the former number after.

    On a busy machine threads of small products wait for each other at every one of them: a fit of
    a quarter of a second was seen to take thirty times as long with two threads.
    """
    before = torch.get_num_threads()
    if multiplications >= WORTH or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
