"""What a shadow says beside the model: by label, and of several by each of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.predictions.traffic_split import parted

Answered = dict[str, Any]


def one(label: str) -> Answered:
    return {"label": label, "score": 0.6}


def unknown(label: str) -> Answered:
    return one(label) | {"unknown": True}


def several(*labels: str, best: str = "a") -> Answered:
    return {"label": best, "score": 0.6, "labels": list(labels)}


@pytest.mark.parametrize(
    ("seen", "unseen", "differences"),
    [
        (one("a"), one("a"), ()),
        (one("a"), one("b"), (("a", "b"),)),
        (unknown("a"), unknown("b"), ()),
        (unknown("a"), one("a"), ((None, "a"),)),
        (one("a"), unknown("a"), (("a", None),)),
        (several("a", "b"), several("b", "a", best="b"), ()),
        (several(best="a"), several(best="b"), ()),
        (several("a"), several("a", "c"), ((None, "c"),)),
        (several("b", "a"), several("c", "a"), (("b", None), (None, "c"))),
        (several("a"), several(), (("a", None),)),
        (several("a"), one("a"), ()),
        (one("a"), several("b", "a"), ((None, "b"),)),
    ],
)
def test_of_two_answers_what_callers_would_see_is_compared(
    seen: Answered, unseen: Answered, differences: tuple[tuple[str | None, str | None], ...]
) -> None:
    told = {"object": "list", "data": [seen]}
    body = json.dumps({"data": [told, {"object": "list", "data": [unseen]}]}).encode()
    own, said = parted(body)
    assert json.loads(own) == told
    assert said == [differences]


def test_what_one_of_both_could_not_read_is_not_compared() -> None:
    failed = {"error": {"code": "image_invalid"}}
    pair = [{"data": [one("a"), failed, failed]}, {"data": [one("a"), one("b"), failed]}]
    assert parted(json.dumps({"data": pair}).encode())[1] == [()]
