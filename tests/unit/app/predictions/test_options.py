"""Query parameters of predictions: whatever they hold, the answer is a value or a 422."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.predictions.options import read_options, refuse_parameters

HUGE = "9" * 400
WRONG = [HUGE, "9" * 5000, "-" + HUGE, "nan", "inf", "-inf", "1e999", "", "x", "0x1", "\xb2"]


@pytest.mark.parametrize("name", ["top_k", "unknown", "timeout"])
@pytest.mark.parametrize("value", WRONG)
def test_numbers_out_of_range_are_refused(name: str, value: str) -> None:
    with pytest.raises(HeadstartError) as caught:
        read_options(f"{name}={value}", "")
    assert (caught.value.code, caught.value.param) == ("invalid_request", name)


@pytest.mark.parametrize(
    "given", [None, {}, {"sequence_id": 3, "triton_enable_x": True}, {"threshold": 0.5}]
)
def test_parameters_that_change_no_answer_are_let_pass(given: Any) -> None:
    refuse_parameters(given, frozenset({"threshold"}))


@pytest.mark.parametrize("given", [[], "x", {"top_k": 3}, {"treshold": 0.5}, {"zzz": 1}])
def test_other_parameters_are_named(given: Any) -> None:
    with pytest.raises(HeadstartError) as caught:
        refuse_parameters(given, frozenset({"threshold"}))
    name = next(iter(given)) if isinstance(given, dict) else None
    assert caught.value.code == "invalid_request"
    assert caught.value.param == (f"parameters.{name}" if name else "parameters")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("top_k=1&top_k=5", "top_k"),
        ("threshold=0.2&top_k=1&threshold=0.3", "threshold"),
        ('thresholds={"crack":0.3,"crack":0.6}', "thresholds"),
    ],
)
def test_what_is_said_twice_is_refused(query: str, param: str) -> None:
    with pytest.raises(HeadstartError, match="is there twice") as caught:
        read_options(query, "")
    assert (caught.value.code, caught.value.param) == ("invalid_request", param)


def test_the_same_twice_is_said_once() -> None:
    assert read_options("top_k=5&top_k=5", "").top_k == 5
