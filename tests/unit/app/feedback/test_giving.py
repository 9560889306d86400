"""What feedback says is held against the model's own labels as people write them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pydantic import ValidationError

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.feedback import giving
from app.feedback.giving import worded
from app.feedback.schemas import NewFeedback

ONE = {
    "label": "caf\u00e9",
    "scores": {"caf\u00e9": 0.8, "true": 0.1, "pos": 0.1, "card_arrival": 0.0, "A": 0, "1": 0},
}
SEVERAL = {"label": "pos", "labels": ["pos"], "scores": {"pos": 0.8, "caf\u00e9": 0.3}}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("pos ", "pos"),
        ("\u00a0pos", "pos"),
        ("True", "true"),
        ("cafe\u0301", "caf\u00e9"),
        ("  cafe\u0301 ", "caf\u00e9"),
        ("Pos", "pos"),
        ("CARD_ARRIVAL", "card_arrival"),
        ("card arrival", "card_arrival"),
        ("Card-Arrival", "card_arrival"),
        ("A-", "A-"),
        ("np.int64(1)", "1"),
        ("np.int64(7)", "7"),
        ('{"label": "x"}', '{"label": "x"}'),
        ("-1", "-1"),
        ("new\u0301", "new\u0301"),
    ],
)
def test_a_label_is_the_models_own_as_it_spells_it(said: str, kept: str) -> None:
    told = worded(NewFeedback(prediction_id="pred_1", label=said), ONE)
    assert told["label"] == kept


def test_so_are_several() -> None:
    said = NewFeedback(prediction_id="pred_1", labels=["pos ", "pos", "cafe\u0301"])
    assert worded(said, SEVERAL)["labels"] == ["caf\u00e9", "pos"]


def test_of_two_classes_alike_a_third_spelling_is_neither() -> None:
    answer = {"label": "Card", "scores": {"Card": 0.9, "card": 0.1}}
    assert worded(NewFeedback(prediction_id="pred_1", label="CARD"), answer)["label"] == "CARD"
    assert worded(NewFeedback(prediction_id="pred_1", label="card"), answer)["label"] == "card"


def test_a_class_of_a_folder_called_true_with_a_capital_stays_so() -> None:
    answer = {"label": "True", "scores": {"True": 0.9, "False": 0.1}}
    assert worded(NewFeedback(prediction_id="pred_1", label="True"), answer)["label"] == "True"


def test_another_spelling_of_the_answer_is_no_other_label() -> None:
    new = NewFeedback(prediction_id="pred_1", label="cafe\u0301 ", correct=False)
    with pytest.raises(HeadstartError, match="the one that was answered"):
        worded(new, ONE)


@pytest.mark.parametrize(
    ("is_unknown", "body", "kept"),
    [
        (True, {"correct": True}, {"label": None, "unknown": True, "correct": True}),
        (False, {"correct": True}, {"label": "caf\u00e9", "unknown": False, "correct": True}),
        (True, {"correct": False}, {"label": None, "unknown": False, "correct": False}),
        (True, {"label": "caf\u00e9"}, {"label": "caf\u00e9", "unknown": False, "correct": None}),
        (
            True,
            {"label": "caf\u00e9", "correct": False},
            {"label": "caf\u00e9", "unknown": False, "correct": False},
        ),
        (False, {"unknown": True}, {"label": None, "unknown": True, "correct": None}),
    ],
)
def test_who_confirms_an_answer_confirms_what_it_said(
    is_unknown: bool, body: dict[str, Any], kept: dict[str, Any]
) -> None:
    told = worded(NewFeedback(prediction_id="pred_1", **body), ONE | {"unknown": is_unknown})
    assert {name: told[name] for name in kept} == kept


def test_of_several_labels_it_confirms_them_whatever_is_unknown() -> None:
    new = NewFeedback(prediction_id="pred_1", correct=True)
    told = worded(new, SEVERAL | {"unknown": True})
    assert (told["labels"], told["unknown"]) == (["pos"], False)


@pytest.mark.parametrize("unseen", ["", "  ", "\u200b", " \ufeff ", "\n"])
def test_a_label_that_nobody_can_see_is_none(unseen: str) -> None:
    with pytest.raises(ValidationError):
        NewFeedback(prediction_id="pred_1", label=unseen)


@pytest.mark.parametrize(
    ("behind", "code"),
    [(0.0, "in_flight"), (2.0, "in_flight"), (-60.0, "not_found"), (60.0, "not_found")],
)
def test_clocks_that_differ_a_little_tell_the_same(
    monkeypatch: pytest.MonkeyPatch, behind: float, code: str
) -> None:
    """The replica that answered has its own clock."""
    asked = new_id("pred_")
    now = time.time() - behind
    monkeypatch.setattr(giving.time, "time", lambda: now)
    assert giving._missing(asked).code == code
