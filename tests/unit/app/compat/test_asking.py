"""Scores as other services name them: of one label by softmax, of several by sigmoid."""

from __future__ import annotations

from math import exp, fsum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.compat.asking import scores

PROBABILITIES = st.lists(st.floats(1e-6, 1 - 1e-6), min_size=2, max_size=9)


def item(probabilities: list[float], **more: Any) -> dict[str, Any]:
    told = enumerate(probabilities)
    return {"predictions": [{"label": str(n), "probability": one} for n, one in told], **more}


@given(PROBABILITIES)
def test_softmax_undoes_the_raw_scores_of_one_label(weights: list[float]) -> None:
    probabilities = [one / fsum(weights) for one in weights]
    powers = [exp(one["score"]) for one in scores(item(probabilities), raw=True)]
    assert [one / fsum(powers) for one in powers] == pytest.approx(probabilities)


@given(PROBABILITIES)
def test_sigmoid_undoes_those_of_several(probabilities: list[float]) -> None:
    raw = scores(item(probabilities, labels=["0"]), raw=True)
    assert [1 / (1 + exp(-one["score"])) for one in raw] == pytest.approx(probabilities)


def test_certain_ones_are_numbers_too() -> None:
    for more in ({}, {"labels": []}):
        told = scores(item([1.0, 0.0], **more), raw=True)
        assert told[0]["score"] >= 0 > -80 > told[1]["score"] > -200
