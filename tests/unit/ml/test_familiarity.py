"""Inputs unlike the support lose confidence; inputs like it lose none."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from worker.ml import familiarity
from worker.ml.familiarity import Familiarity

KNOWN = Familiarity(mean=0.5, deviation=0.1)


def test_inputs_like_the_support_keep_their_logits() -> None:
    assert KNOWN.factor(torch.tensor([0.9, 0.5, 0.38])).tolist() == [1.0, 1.0, 1.0]


def test_the_factor_grows_with_the_distance_up_to_its_limit() -> None:
    factors = KNOWN.factor(torch.tensor([0.3, 0.2, -50.0])).tolist()
    assert 1 < factors[0] < factors[1] < factors[2]
    assert math.isclose(factors[2], math.exp(familiarity.LIMIT), rel_tol=1e-6)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20))
def test_it_never_adds_confidence(similarity: list[float]) -> None:
    assert bool((KNOWN.factor(torch.tensor(similarity)) >= 1).all())


def test_a_member_is_compared_with_the_others_only() -> None:
    rows = torch.nn.functional.normalize(torch.randn(6, 4), dim=1)
    gram = rows @ rows.T
    _, similarity = familiarity.of_support(gram)
    others = [gram[row][torch.arange(6) != row].mean() for row in range(6)]
    torch.testing.assert_close(similarity, torch.stack(others))


def test_few_members_fall_back_on_the_usual_spread() -> None:
    known, _ = familiarity.of_support(torch.eye(2))
    assert 0 < known.deviation <= familiarity.EXPECTED_DEVIATION


def test_one_member_tells_nothing() -> None:
    known, similarity = familiarity.of_support(torch.ones(1, 1))
    assert known.factor(similarity).tolist() == [1.0]


def test_json_brings_it_back() -> None:
    assert Familiarity(**familiarity.stored(KNOWN)) == KNOWN
