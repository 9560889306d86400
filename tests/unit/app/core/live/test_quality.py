"""What feedback says of an answer, and when accuracy has evidently fallen."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.live.quality import ENOUGH, evidence_below, said_right

NOTHING: dict[str, Any] = {"label": None, "labels": None, "correct": None, "unknown": False}
ONE = {"label": "a", "unknown": False}
UNKNOWN = ONE | {"unknown": True, "scores": {"a": 0.6, "b": 0.4}}
SEVERAL = {"label": "a", "labels": ["a", "b"], "unknown": False}


@pytest.mark.parametrize(
    ("answer", "told", "right"),
    [
        (ONE, {"label": "a"}, True),
        (ONE, {"label": "b"}, False),
        (ONE, {"correct": False}, False),
        (ONE, {"correct": True}, True),
        (ONE, {"unknown": True}, False),
        (ONE | {"unknown": True}, {"unknown": True}, True),
        (UNKNOWN, {"label": "a"}, False),
        (UNKNOWN, {"label": "b"}, False),
        (UNKNOWN, {"label": "new"}, True),
        (UNKNOWN, {"label": "new", "correct": False}, False),
        (ONE, {"label": "new"}, False),
        (UNKNOWN, {"label": "a", "correct": False}, False),
        (SEVERAL, {"labels": ["b", "a"]}, True),
        (SEVERAL, {"labels": ["a"]}, False),
        (SEVERAL, {"labels": []}, False),
        (SEVERAL | {"labels": []}, {"unknown": True}, True),
        (ONE, {}, None),
    ],
)
def test_what_feedback_says_of_an_answer(answer: Any, told: Any, right: bool | None) -> None:
    assert said_right(answer, NOTHING | told) is right


@given(st.lists(st.booleans(), max_size=60), st.floats(0.05, 0.99))
def test_one_more_answer_pays_what_a_fair_bet_at_the_limit_pays(
    right: list[bool], least: float
) -> None:
    now = evidence_below(right, least)
    after = least * evidence_below([*right, True], least)
    after += (1 - least) * evidence_below([*right, False], least)
    assert after == pytest.approx(now, rel=1e-6)


def test_looking_after_every_answer_seldom_tells_of_a_fall_that_is_none() -> None:
    draw = random.Random(7)
    told = 0
    for _ in range(400):
        right: list[bool] = []
        for _ in range(150):
            right.append(draw.random() < 0.9)
            if evidence_below(right, 0.9) >= ENOUGH:
                told += 1
                break
    assert told <= 400 * 0.05


def test_a_fall_is_told() -> None:
    draw = random.Random(3)
    right = [draw.random() < 0.75 for _ in range(150)]
    assert evidence_below(right, 0.9) >= ENOUGH
    assert evidence_below([True] * 150, 0.9) < 1
    assert evidence_below([False] * 20_000, 0.9) > ENOUGH
