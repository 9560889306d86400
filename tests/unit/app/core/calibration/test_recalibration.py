"""Thresholds and accuracies from unlabelled inputs, by laws and by what is known of draws."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from app.core.calibration import recalibration
from app.core.calibration.recalibration import Judged
from worker.ml.assess import novelty

SCORES = st.lists(st.floats(-50, 50), min_size=2, max_size=200)


@given(SCORES)
def test_thresholds_are_those_that_a_fit_would_choose(scores: list[float]) -> None:
    known = torch.tensor(scores, dtype=torch.double)
    fitted = [novelty._quantile(known, rate) for rate in recalibration.RATES]
    assert recalibration.thresholds(scores) == pytest.approx(fitted, abs=1e-9)


@given(SCORES)
def test_thresholds_rise_with_the_rate(scores: list[float]) -> None:
    found = recalibration.thresholds(scores)
    assert found == sorted(found)


def test_the_stated_rate_holds_on_further_inputs_of_the_source() -> None:
    draw = random.Random(0)
    missed = []
    for _ in range(200):
        found = recalibration.thresholds([draw.gauss(-3, 2) for _ in range(100)])
        level = found[recalibration.RATES.index(0.05)]
        missed.append(sum(draw.gauss(-3, 2) < level for _ in range(200)) / 200)
    assert sum(missed) / len(missed) == pytest.approx(0.05, abs=0.01)


JUDGED = Judged(confidences=[0.9] * 8 + [0.4] * 2, right=[True] * 8 + [False] * 2)


def test_as_sure_as_on_the_judged_is_as_often_right() -> None:
    found = recalibration.accuracy(JUDGED, [0.9] * 80 + [0.4] * 20)
    assert found["value"] == pytest.approx(0.8)
    assert found["low"] < 0.8 < found["high"]


def test_less_sure_is_less_often_right() -> None:
    found = recalibration.accuracy(JUDGED, [0.9] * 40 + [0.4] * 60)
    assert found["thresholded_confidence"] == pytest.approx(0.4)
    assert found["difference_of_confidences"] == pytest.approx(0.6)
    assert found["value"] == pytest.approx(0.5)


@given(
    st.lists(st.tuples(st.floats(0.01, 1), st.booleans()), min_size=1, max_size=40),
    st.lists(st.floats(0.01, 1), min_size=1, max_size=40),
)
def test_an_estimate_is_a_share(judged: list[tuple[float, bool]], asked: list[float]) -> None:
    one = Judged(confidences=[p for p, _ in judged], right=[hit for _, hit in judged])
    found = recalibration.accuracy(one, asked)
    assert 0 <= found["low"] <= found["value"] <= found["high"] <= 1


def test_only_thresholds_of_a_config_change() -> None:
    config = {"unknown": {"spreads": [1, 2], "thresholds": [0.0], "estimable": True}, "classes": []}
    found = recalibration.recalibrated(config, [float(x) for x in range(40)])
    assert len(found["unknown"]["thresholds"]) == len(recalibration.RATES)
    assert {**found, "unknown": None} == {**config, "unknown": None}
    assert found["unknown"]["spreads"] == [1, 2]


@given(SCORES, st.floats(0.001, 0.5))
@example([0.95, 0.95, -6.0], 0.5)
def test_of_what_thresholds_are_made_of_about_their_rate_is_unknown(
    scores: list[float], rate: float
) -> None:
    share = recalibration.unknown_share(scores, recalibration.thresholds(scores), rate)
    kept = next(known for known in recalibration.RATES if known >= rate)
    assert share <= kept + 1 / len(scores), "between two kept rates at most the higher one's"


def test_a_burst_is_alike_and_another_draw_is_not() -> None:
    draw = random.Random(0)
    known = recalibration.thresholds([draw.gauss(0, 2) for _ in range(200)])
    for _ in range(100):
        assert recalibration.are_alike([draw.gauss(-3, 0.1) for _ in range(30)], known)
        assert not recalibration.are_alike([draw.gauss(-3, 2) for _ in range(30)], known)
