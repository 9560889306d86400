"""Work side by side, and how many threads there are inside and after."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from worker.ml import threads
from worker.ml.lazily import lazily


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_keep_their_order_and_each_has_one_thread(two_threads: None) -> None:
    found = threads.each(lambda item: (item, torch.get_num_threads()), range(9))
    assert found == [(item, 1) for item in range(9)]
    assert torch.get_num_threads() == 2


def test_inside_one_thread_there_is_no_other(two_threads: None) -> None:
    inner = threads.each(lambda _: threads.each(lambda item: 2 * item, range(3)), range(2))
    assert inner == [[0, 2, 4], [0, 2, 4]]


def test_an_error_comes_out_and_the_threads_come_back(two_threads: None) -> None:
    with pytest.raises(ZeroDivisionError):
        threads.each(lambda item: 1 // item, [1, 0])
    assert torch.get_num_threads() == 2


def test_a_small_computation_gets_one(two_threads: None) -> None:
    with threads.enough(10):
        assert torch.get_num_threads() == 1
    with threads.enough(1e12):
        assert torch.get_num_threads() == 2


def test_lazily_is_made_once() -> None:
    class Counted:
        made = 0

        @lazily
        def value(self) -> int:
            self.made += 1
            return self.made

    one = Counted()
    assert (one.value, one.value, Counted().value) == (1, 1, 1)
