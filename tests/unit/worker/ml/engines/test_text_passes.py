"""Texts are parted into passes so that little is computed of what only fills them up."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.ml.engines.texts import APART, BATCH, cuts

LENGTHS = st.lists(st.integers(1, 32).map(lambda eights: 8 * eights), min_size=1, max_size=150)


def cost(lengths: list[int], places: list[int]) -> int:
    passes = np.split(np.array(lengths), places)
    return sum(APART + len(one) * int(one[-1]) for one in passes)


@given(LENGTHS.map(sorted))
def test_no_pass_is_too_large_or_empty_and_no_parting_costs_less_than_theirs(
    lengths: list[int],
) -> None:
    found = cuts(lengths)
    passes = np.diff([0, *found, len(lengths)])
    assert passes.min() > 0
    assert passes.max() <= BATCH
    by_number = list(range(BATCH, len(lengths), BATCH))
    middle = [len(lengths) // 2] if 1 < len(lengths) <= BATCH else by_number
    assert cost(lengths, found) <= min(cost(lengths, by_number), cost(lengths, middle)) + APART


def test_a_long_text_has_a_pass_of_its_own_and_like_ones_share_theirs() -> None:
    assert cuts([8] * 16 + [256]) == [16]
    assert cuts([8] * 16 + [16]) == cuts([48] * 32) == cuts([256]) == []
    assert cuts([8] * 33) in ([1], [32])
