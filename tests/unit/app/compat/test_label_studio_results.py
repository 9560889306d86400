"""Predictions in a labelling project's words, and what its tasks show."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from app.compat.label_studio.config import ChoiceConfig
from app.compat.label_studio.endpoints import _result
from app.compat.label_studio.studio import Studio
from app.compat.label_studio.tasks import input_of
from app.compat.label_studio.words import ChoiceWords
from app.infra.repositories.targets import ResolvedModel
from app.infra.settings import Settings

RANKED = [
    {"label": "fx", "probability": 0.9},
    {"label": "card_fee", "probability": 0.8},
    {"label": "refund", "probability": 0.1},
]
LABELS = [str(one["label"]) for one in RANKED]
ONE = {"label": "fx", "probability": 0.9, "predictions": RANKED}
SEVERAL = ONE | {"labels": ["card_fee", "fx"]}


def said(item: dict[str, Any], choices: list[str], *, single: bool = True) -> tuple[Any, float]:
    config = ChoiceConfig("c", "t", "text", frozenset(choices), single=single)
    told = _result(item, config, ChoiceWords.between(config.choices, LABELS), "ft:x")
    return [one.value["choices"] for one in told.result], told.score


def test_a_class_is_said_as_the_project_spells_it() -> None:
    assert said(ONE, ["FX", "Card fee"]) == ([["FX"]], 0.9)


def test_of_a_class_that_is_no_choice_the_next_is_said() -> None:
    assert said(ONE, ["Card fee", "refund"]) == ([["Card fee"]], 0.8)


def test_several_are_said_where_several_may_be_chosen() -> None:
    assert said(SEVERAL, LABELS, single=False) == ([["fx", "card_fee"]], 0.9)
    assert said(SEVERAL, LABELS) == ([["fx"]], 0.9)
    assert said(SEVERAL | {"labels": []}, LABELS, single=False) == ([], 0.0)


def test_what_could_not_be_read_says_nothing() -> None:
    assert said({"error": {"code": "invalid_value"}}, LABELS) == ([], 0.0)


@dataclass(frozen=True)
class LabelledFiles(Studio):
    """A Label Studio all of whose files are one."""

    data: bytes = b""

    async def file(self, value: str) -> bytes:
        return self.data


MODEL = ResolvedModel(id="ft:x", backbone="b", modality="text", artifact="a", sha256="0")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("by_address", "data", "expected"),
    [
        (True, b"\xef\xbb\xbfwhere is it", "where is it"),
        (False, b"where is it", "https://x.example/1.txt"),
        (True, b"\xff\xfe\x00", None),
    ],
)
async def test_a_text_at_an_address_is_fetched_where_the_project_says_so(
    by_address: bool, data: bytes, expected: str | None
) -> None:
    config = ChoiceConfig("c", "t", "text", frozenset(), by_address=by_address)
    item = await input_of(
        "https://x.example/1.txt", config, MODEL, LabelledFiles("", None, Settings(), data)
    )
    if expected is None:
        assert json.loads(bytes(item.data))["code"] == "encoding"
    else:
        assert (item.kind, bytes(item.data).decode()) == ("text", expected)
