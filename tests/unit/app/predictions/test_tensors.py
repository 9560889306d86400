"""The protocol's tensors: what a request may ask for, and numbers in its headers."""

from __future__ import annotations

import pytest

from app.core.errors import HeadstartError
from app.predictions.tensors import header_length, split_bytes, wanted_outputs

NAMES = ("label", "probability")


def test_every_output_is_given_by_default() -> None:
    assert wanted_outputs({}, NAMES) == [("label", False), ("probability", False)]
    raw = {"outputs": [{"name": "label", "parameters": {"binary_data": True}}]}
    assert wanted_outputs(raw, NAMES) == [("label", True)]


def test_an_output_is_given_once() -> None:
    with pytest.raises(HeadstartError) as caught:
        wanted_outputs({"outputs": [{"name": "label"}, {"name": "label"}]}, NAMES)
    assert (caught.value.code, caught.value.param) == ("invalid_request", "outputs.1.name")


@pytest.mark.parametrize("name", [None, 3, [], {}, "nonesuch"])
def test_an_output_has_a_known_name(name: object) -> None:
    with pytest.raises(HeadstartError) as caught:
        wanted_outputs({"outputs": [{"name": name}]}, NAMES)
    assert caught.value.param == "outputs.0.name"


def test_ranked_classes_are_refused_and_not_answered_as_numbers() -> None:
    asked = {"outputs": [{"name": "probability", "parameters": {"classification": 2}}]}
    with pytest.raises(HeadstartError, match="class_count") as caught:
        wanted_outputs(asked, NAMES)
    assert caught.value.param == "outputs.0.parameters.classification"


def test_a_header_says_how_much_is_json() -> None:
    assert header_length(None, b"1234") == 4
    assert header_length("3", b"1234") == 3


@pytest.mark.parametrize("text", ["\xb2", "\u0663", "9" * 5000, "9" * 18, "-1", "", " 1", "5"])
def test_a_header_that_is_no_length_is_refused(text: str) -> None:
    with pytest.raises(HeadstartError) as caught:
        header_length(text, b"1234")
    assert caught.value.param == "inference-header-content-length"


def test_a_raw_tensor_is_cut_no_further_than_it_may_have_elements() -> None:
    assert split_bytes(b"\0" * 8 + b"\1\0\0\0x", name="text", most=3) == [b"", b"", b"x"]
    broken_after = b"\0" * 16 + b"\xff"
    with pytest.raises(HeadstartError, match="send 1 to 3 inputs"):
        split_bytes(broken_after, name="text", most=3)
