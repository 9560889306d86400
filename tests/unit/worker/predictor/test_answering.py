"""Who shares a batch with calls of several heads gets the rows that are its own; bad rows none."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from math import nan
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.core.errors import HeadstartError
from app.core.messages import Input, Options
from app.core.modalities import pictured
from worker.answers.rendering import Labels, Scores
from worker.predictor.answering import Answerer, _spread
from worker.predictor.calls import PendingInput
from worker.predictor.prediction_cache import PredictionCache


def item(*views: str) -> PendingInput:
    """An input of a call whose head reads these views; of one without a head where there is none.

    A head is stood in for by what is read of it here.
    """
    config = SimpleNamespace(views=views, pictures=tuple(dict.fromkeys(map(pictured, views))))
    head = SimpleNamespace(live=SimpleNamespace(config=config))
    call: Any = SimpleNamespace(head=head if views else None)
    return PendingInput(call, 0, Input("image", b""))


def rows(*numbers: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array(numbers, np.float32)[:, None]


def test_bystanders_of_riders_keep_their_rows() -> None:
    leader, rider, embedding = item("plain"), item("flip", "plain"), item()
    leader.riders = (rider,)
    explained = item("plain")
    everyone, theirs = _spread([embedding, leader, explained], [rows(9), rows(1, 2), rows(3, 4, 5)])
    assert everyone == [embedding, leader, rider, explained]
    assert [each[:, 0].tolist() for each in theirs] == [[9], [1], [2, 1], [3, 4, 5]]


def test_activations_come_in_the_rows_of_their_pictures() -> None:
    leader, rider = item("flip", "plain", "map:plain"), item("plain", "map:plain")
    leader.riders = (rider,)
    _, theirs = _spread([leader], [rows(1, 2)])
    assert [each[:, 0].tolist() for each in theirs] == [[1, 2], [2]]


def answerer(not_finite: Callable[[], HeadstartError]) -> Answerer:
    spec: Any = SimpleNamespace(lasts=[range(2)])
    return Answerer(
        spec,
        PredictionCache(0),
        lambda _: [],
        not_finite=not_finite,
        own_not_finite=lambda _: not_finite(),
    )


def embeddings(*counts: int) -> list[PendingInput]:
    items = [item() for _ in counts]
    for one in items:
        asked: Any = SimpleNamespace(options=SimpleNamespace(tokens=False))
        one.call.request = asked
    return items


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_an_error_in_their_place(number: float) -> None:
    given = [np.array([[1, 2]], np.float32), np.array([[1, number]], np.float32)]
    answers = answerer(lambda: HeadstartError("not_finite"))(embeddings(0, 1), given)
    assert isinstance(answers[0], bytes)
    assert isinstance(answers[1], HeadstartError)
    assert answers[1].code == "not_finite"


def test_a_network_that_gives_no_numbers_is_said_of_the_call() -> None:
    def refuse() -> HeadstartError:
        raise HeadstartError("weights_invalid")

    with pytest.raises(HeadstartError) as caught:
        answerer(refuse)(embeddings(0), [np.array([[1, np.nan]], np.float32)])
    assert caught.value.code == "weights_invalid"


@pytest.mark.parametrize("broken", [False, True], ids=["of an input", "of the model"])
def test_scores_that_are_not_finite_are_an_error_in_their_place_and_not_kept(
    broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def own(_head: Any) -> HeadstartError:
        error = HeadstartError("model_corrupt" if broken else "not_finite")
        if broken:
            raise error
        return error

    labels = Labels(["x", "y"])
    said = [Scores(labels, array("f", [0.5, 0.5])), Scores(labels, array("f", [nan, nan]))]
    monkeypatch.setattr("worker.predictor.answering.predict", lambda *_, **__: said)
    cache = PredictionCache(10_000)
    spec: Any = SimpleNamespace(width=2, layout=(), reads=SimpleNamespace(read_by_heads=False))
    made = Answerer(
        spec, cache, lambda _: [], not_finite=lambda: pytest.fail("rows are"), own_not_finite=own
    )
    items = [item("plain"), item("plain")]
    for place, one in enumerate(items):
        one.key = str(place).encode()
        asked: Any = SimpleNamespace(options=Options())
        one.call.request = asked
    answers = made(items, [np.ones((1, 2), np.float32)] * 2)
    assert isinstance(answers[0], bytes)
    assert isinstance(answers[1], HeadstartError)
    assert answers[1].code == ("model_corrupt" if broken else "not_finite")
    assert cache.get(b"0", labels) is not None
    assert cache.get(b"1", labels) is None
