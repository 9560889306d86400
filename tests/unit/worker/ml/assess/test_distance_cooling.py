"""Inputs unlike the support lose confidence; inputs like it lose none."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from worker.ml.assess import distance_cooling
from worker.ml.assess.distance_cooling import Familiarity

KNOWN = Familiarity(mean=0.5, deviation=0.1)


def test_inputs_like_the_support_keep_their_logits() -> None:
    assert KNOWN.factor(torch.tensor([0.9, 0.5, 0.38])).tolist() == [1.0, 1.0, 1.0]


def test_the_factor_grows_with_the_distance_up_to_its_limit() -> None:
    factors = KNOWN.factor(torch.tensor([0.3, 0.2, -50.0])).tolist()
    assert 1 < factors[0] < factors[1] < factors[2]
    assert math.isclose(factors[2], math.exp(distance_cooling.LIMIT), rel_tol=1e-6)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20))
def test_it_never_adds_confidence(similarity: list[float]) -> None:
    assert bool((KNOWN.factor(torch.tensor(similarity)) >= 1).all())


def test_few_members_fall_back_on_the_usual_spread() -> None:
    known = distance_cooling.of_support(torch.tensor([0.3, 0.3]))
    assert 0 < known.deviation <= distance_cooling.EXPECTED_DEVIATION


def test_many_members_have_their_own_mean_and_spread() -> None:
    similarity = 0.4 + 0.2 * torch.randn(5000, generator=torch.Generator().manual_seed(0))
    known = distance_cooling.of_support(similarity)
    assert math.isclose(known.mean, 0.4, abs_tol=0.02)
    assert math.isclose(known.deviation, 0.2, abs_tol=0.02)


def test_one_member_tells_nothing() -> None:
    similarity = torch.zeros(1)
    assert distance_cooling.of_support(similarity).factor(similarity).tolist() == [1.0]
