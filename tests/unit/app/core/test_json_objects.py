from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.json_objects import DoubledNameError, check_names, once

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_written_once_is_let_through(value: Any) -> None:
    text = json.dumps(value)
    check_names(text)
    check_names(text.encode())
    assert json.loads(text, object_pairs_hook=once) == value


@given(st.text(), VALUES, VALUES)
def test_a_name_of_two_values_is_found_at_any_depth(name: str, one: Any, other: Any) -> None:
    key, first, second = (json.dumps(part) for part in (name, one, other))
    text = f'[{{"in": {{{key}: {first}, {key}: {second}}}}}]'
    if first == second:
        check_names(text)
        return
    with pytest.raises(DoubledNameError, match="is there twice"):
        check_names(text)


@pytest.mark.parametrize(
    "pair", ["1, 2", "1, true", '1, "1"', "1.0, 1", '"a", null', '{"b": null}, {"b": "2"}']
)
def test_both_values_are_told(pair: str) -> None:
    first, _, second = pair.partition(", ")
    with pytest.raises(DoubledNameError) as caught:
        once([("x", json.loads(first)), ("x", json.loads(second))])
    with pytest.raises(DoubledNameError) as written:
        check_names(f'{{"x": {first}, "x": {second}}}')
    assert str(written.value) == str(caught.value)
    assert '"x" is there twice' in str(caught.value)
    assert all(part in str(caught.value) for part in (first, second))


def test_what_is_no_json_is_left_to_its_reader() -> None:
    check_names('{"a": 1, "a"')
    check_names("[" * 100_000)
    check_names(b'\xff{"a": 1}')


@pytest.mark.parametrize(("name", "said"), [("größe", '"größe"'), ("a\u202eb", r'"a\u202eb"')])
def test_a_name_is_told_as_it_can_be_read(name: str, said: str) -> None:
    with pytest.raises(DoubledNameError) as caught:
        once([(name, 1), (name, 2)])
    assert str(caught.value).startswith(f"{said} is there twice")
    assert caught.value.name == name
