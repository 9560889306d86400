"""Every form of a method that can mean one thing only is that."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.hyperparameters import METHODS
from app.jobs.method_forms import as_meant, fields

WHOLE = {"type": "linear", "linear": {"hyperparameters": {"epochs": 3}}}


@pytest.mark.parametrize(
    "given",
    [
        WHOLE,
        {"linear": {"hyperparameters": {"epochs": 3}}},
        {"linear": {"epochs": 3}},
        {"type": "linear", "linear": {"epochs": 3}},
        {"type": "linear", "hyperparameters": {"epochs": 3}},
        {"type": "linear", "epochs": 3},
    ],
)
def test_forms_of_one_method(given: dict[str, Any]) -> None:
    assert as_meant(given) == WHOLE


def test_a_name_alone_and_what_is_complete_stay() -> None:
    assert as_meant("linear") == {"type": "linear"}
    assert as_meant({"type": "linear"}) == {"type": "linear"}
    assert as_meant(None) is None
    assert as_meant({"type": "magic", "epochs": 3}) == {"type": "magic", "epochs": 3}


def test_the_model_to_grow_from_goes_along() -> None:
    given = {"type": "linear", "from_model": "ft:x", "epochs": 3}
    options = {"from_model": "ft:x", "hyperparameters": {"epochs": 3}}
    assert as_meant(given) == {"type": "linear", "linear": options}


@pytest.mark.parametrize(
    "given",
    [
        {"type": "linear", "epochs": 2, "linear": {"hyperparameters": {"epochs": 3}}},
        {"type": "linear", "hyperparameters": {"epochs": 2}, "epochs": 3},
        {"type": "linear", "linear": 3},
    ],
)
def test_what_says_two_things_is_told_where_they_go(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"method\.linear\.hyperparameters"):
        as_meant(given)


def test_what_no_method_has_is_left_for_its_own_refusal() -> None:
    given = {"type": "linear", "hyperparameters": {"epoch": 3}}
    assert as_meant(given) == {"type": "linear", "linear": {"hyperparameters": {"epoch": 3}}}


@pytest.mark.parametrize("name", METHODS)
def test_no_hyperparameter_is_called_as_a_method_or_an_option(name: str) -> None:
    assert not fields(name) & {*METHODS, "type", "hyperparameters", "from_model"}
