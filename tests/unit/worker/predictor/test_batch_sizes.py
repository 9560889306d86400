"""How many ride together: all that wait, unless several share what a small batch costs no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.predictor.batch_sizes import BatchSizes

SIZES = (1, 2, 4, 8, 16, 32)


def shared(seconds: Callable[[int], float], *, batches: int = 1000) -> list[int]:
    """The sizes that two tenants' inputs are taken in, of a pass of so many `seconds`."""
    sizes, now, taken = BatchSizes(SIZES), 0.0, []
    for number in range(batches):
        sizes.asked("ab"[number % 2], now=now)
        size = sizes.pick(100, now=now)
        now += seconds(size)
        sizes.served(size, seconds(size))
        taken.append(size)
    return taken


def test_one_tenant_has_the_largest_batches() -> None:
    sizes = BatchSizes(SIZES)
    for number in range(100):
        sizes.asked("alone", now=number)
        assert sizes.pick(100, now=number) == 32
        sizes.served(32, 1.0)
    assert [sizes.pick(waiting, now=100) for waiting in (1, 3, 9, 31)] == [1, 2, 8, 16]


@pytest.mark.parametrize(
    ("price", "size"),
    [(0.0, 1), (0.02, 1), (0.2, 1), (0.3, 2), (1.0, 4), (5.0, 16), (100.0, 32)],
)
def test_what_is_shared_is_taken_in_the_smallest_batches_that_cost_little(
    price: float, size: int
) -> None:
    """`price` is a pass's own, in inputs: an input costs a quarter more than at its best."""
    taken = shared(lambda count: 0.001 * (price + count))
    assert taken[0] == 32, "what is unknown is learned from the largest first"
    assert Counter(taken[-200:]).most_common(1)[0][0] == size
    assert max(taken[-200:]) <= 2 * size, "only neighbours are tried now and then"


def test_a_price_that_changes_is_learned() -> None:
    sizes, now, taken = BatchSizes(SIZES), 0.0, []
    for number in range(4_000):
        sizes.asked("ab"[number % 2], now=now)
        size = sizes.pick(100, now=now)
        seconds = 0.01 * ((20 if number < 2_000 else 0) + size)
        now += seconds
        sizes.served(size, seconds)
        taken.append(size)
    assert Counter(taken[1_800:2_000]).most_common(1)[0][0] == 32
    assert Counter(taken[-200:]).most_common(1)[0][0] == 1


def test_who_asks_alone_again_has_the_largest_once_the_other_is_forgotten() -> None:
    sizes = BatchSizes(SIZES)
    for now, tenant in enumerate(("loud", "quiet", "loud")):
        sizes.asked(tenant, now=now)
    for size in SIZES:
        sizes.served(size, 0.01 * size)
    assert sizes.pick(100, now=4) == 1
    sizes.asked("loud", now=40)
    assert sizes.pick(100, now=41) == 32


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.integers(1, 300),
            st.floats(0, 100, allow_nan=False),
            st.floats(0, 1e6, allow_nan=False),
        )
    )
)
def test_a_batch_is_a_warm_size_of_what_waits(
    steps: list[tuple[str, int, float, float]],
) -> None:
    sizes, now = BatchSizes(SIZES), 0.0
    for tenant, waiting, seconds, later in steps:
        now += later
        sizes.asked(tenant, now=now)
        size = sizes.pick(waiting, now=now)
        assert size in SIZES
        assert size <= waiting
        sizes.served(size, seconds)


def test_what_is_decoded_gathers_for_a_moment_while_nobody_shares_the_engine() -> None:
    sizes = BatchSizes(SIZES)
    sizes.asked("a", now=0.0)
    assert sizes.gathers(1, waited=0.001, now=0.0)
    assert sizes.gathers(7, waited=0.001, now=0.0)
    assert not sizes.gathers(8, waited=0.001, now=0.0)
    assert not sizes.gathers(1, waited=0.003, now=0.0)
    sizes.asked("b", now=1.0)
    assert not sizes.gathers(1, waited=0.001, now=1.0)
    assert not BatchSizes((1,)).gathers(1, waited=0.0, now=0.0)
