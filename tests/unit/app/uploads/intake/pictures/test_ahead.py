"""Reading ahead: in order, within bounds, each fault with its own item, nothing after the end."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.uploads.intake.containers.ahead import MOST, MOST_BYTES, read_ahead


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, MOST_BYTES), max_size=200))
def test_everything_comes_in_order(sizes: list[int]) -> None:
    came = [(item, read()) for item, read in read_ahead(str, sizes, lambda one: one)]
    assert came == [(size, str(size)) for size in sizes]


def test_no_more_is_read_ahead_than_is_allowed() -> None:
    begun: list[int] = []
    with closing(read_ahead(begun.append, [MOST_BYTES] * 50, lambda one: one)) as ahead:
        next(ahead)
        assert len(begun) <= 2
    begun.clear()
    with closing(read_ahead(begun.append, [1] * 500, lambda one: one)) as ahead:
        next(ahead)
        assert len(begun) <= MOST + 1


def test_a_fault_comes_with_its_own_item() -> None:
    def read(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    for number, told in read_ahead(read, range(6), lambda one: one):
        if number == 3:
            with pytest.raises(ValueError, match="three"):
                told()
        else:
            assert told() == number


def test_no_thread_is_left_where_nobody_reads_on() -> None:
    with closing(read_ahead(str, range(1000), lambda one: one)) as ahead:
        next(ahead)
    assert not [one for one in threading.enumerate() if one.name.startswith("read-ahead")]
