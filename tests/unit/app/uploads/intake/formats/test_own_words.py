"""What is wrong with an object is told in words of our own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake.refusals import odd_part
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]


def failing(part: Callable[[], Any]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever Python raises
        part()
    return caught.value


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (lambda: {}["label"], "it has no `label`"),
        (lambda: float("wide"), "'wide' is no number"),
        (lambda: int("1.5"), "'1.5' is no number"),
        (lambda: len(None), "a part of it is missing, or of another kind"),
        ([].pop, "a part of it is missing, or of another kind"),
    ],
)
def test_odd_parts(part: Callable[[], Any], said: str) -> None:
    assert odd_part(failing(part)) == said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"text": "a", "label": "x"', "Expecting ',' delimiter at its end"),
        ('{"text": "\\ud800", "label": "x"}]', "half of a character"),
        ('{"text": "a", "label": NaN}]', "NaN is no number of JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"text": a}]', "Expecting value at 'a}]'"),
    ],
)
def test_elements_of_a_list_are_told_by_what_stands_there(
    refused: Refused, line: str, said: str
) -> None:
    error = refused(f'[{{"text": "b", "label": "y"}}, {line}'.encode(), "x.json")
    assert error.code == "invalid_json"
    assert said in error.message
    assert "(char" not in error.message


def test_an_export_that_is_cut_off_says_which_row_lacks_what(refused: Refused, take: Take) -> None:
    rows = [{"text": "a", "accept": ["x"], "answer": "accept", "options": []} for _ in range(2)]
    rows[1]["options"] = [{"text": "y"}]
    error = refused("\n".join(map(json.dumps, rows)).encode(), "x.jsonl")
    assert (error.code, error.param) == ("schema_mismatch", "x.jsonl:2")
    assert "it has no `id`" in error.message
