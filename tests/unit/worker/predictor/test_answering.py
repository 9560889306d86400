"""Who shares a batch with calls of several heads gets the rows that are its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from app.core.messages import Input
from app.core.modalities import pictured
from worker.predictor.answering import _spread
from worker.predictor.calls import PendingInput


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
