"""What a pass costs is told apart from what its inputs do, on a busy machine, too."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.predictor.pass_cost import PassCost

SIZES = (1, 2, 4, 8, 16, 32)


def test_a_price_and_an_input_are_told_apart() -> None:
    cost = PassCost()
    for count in SIZES * 5:
        cost.saw(count, 0.01 + 0.002 * count)
    assert cost.is_known
    assert [cost.of_an_input(count) for count in (1, 8, 32)] == pytest.approx(
        [0.012, 0.00325, 0.0023125]
    )


def test_passes_that_were_held_up_say_little_of_their_size() -> None:
    """Of a hundred passes of each size some take up to five times as long."""
    chance, cost = random.Random(0), PassCost()
    for _ in range(100):
        for count in SIZES:
            held_up = chance.choice((1, 1, 1, 1.5, 2, 5))
            cost.saw(count, held_up * 0.005 * count)
    assert cost.of_an_input(1) < 1.5 * cost.of_an_input(32)


def test_one_size_alone_tells_nothing_apart() -> None:
    cost = PassCost()
    assert not cost.told_apart
    assert cost.last == 0
    for _ in range(1000):
        cost.saw(8, 0.08)
    assert not cost.told_apart
    assert cost.last == 8
    assert cost.of_an_input(1) == pytest.approx(cost.of_an_input(8))
    cost.saw(1, 0.01)
    assert cost.told_apart
    assert cost.is_known


@given(st.lists(st.tuples(st.sampled_from(SIZES), st.floats(0, 1e3)), min_size=1))
def test_no_part_is_negative_and_more_inputs_never_cost_more_each(
    passes: list[tuple[int, float]],
) -> None:
    cost = PassCost()
    for count, seconds in passes:
        cost.saw(count, seconds)
    each = [cost.of_an_input(count) for count in SIZES]
    assert each[-1] >= 0
    assert each == sorted(each, reverse=True)
