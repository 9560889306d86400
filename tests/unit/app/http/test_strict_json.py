"""Strict JSON refuses what would break later."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http import strict_json
from app.http.strict_json import AT_ONCE, MOST_VALUES, SHORT, parse, parsed


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": "\\u0000"}',
        b'{"\\u0000": 1}',
        b'{"a": "\\ud800"}',
        b'{"a": 9223372036854775808}',
        b'{"a": [[-9223372036854775809]]}',
        b"[" * 10_000 + b"]" * 10_000,
        b"\xff\xfe",
    ],
)
def test_what_is_refused(body: bytes) -> None:
    with pytest.raises(json.JSONDecodeError):
        parse(body)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"a": 1, "a": 2}', "a"),
        (b'{"a": 1, "\\u0061": true}', "a"),
        (b'[{"x": {"label": "cat", "text": "t:", "label": "dog"}}]', "label"),
        (b'{"a": "' + b"x" * AT_ONCE + b'", "b": 1, "b": null}', "b"),
    ],
)
def test_a_name_with_two_values_is_named(body: bytes, name: str) -> None:
    with pytest.raises(json.JSONDecodeError, match=f'^"{name}" is there twice') as caught:
        parse(body)
    assert str(caught.value) == caught.value.msg


def test_the_same_said_twice_is_taken() -> None:
    assert parse(b'{"a": 1, "a": 1, "b": {"a": 2}}') == {"a": 1, "b": {"a": 2}}


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('abc:"'), inner),
    max_leaves=20,
)


@given(_JSON)
def test_everything_else_survives(value: object) -> None:
    assert parse(json.dumps(value).encode()) == value


def test_a_long_body_leaves_the_event_loop_free(monkeypatch: pytest.MonkeyPatch) -> None:
    def noting(body: bytes) -> tuple[bool, object]:
        return threading.current_thread() is threading.main_thread(), parse(body)

    monkeypatch.setattr(strict_json, "parse", noting)
    assert asyncio.run(parsed(b"1" + b" " * (SHORT - 1))) == (True, 1)
    assert asyncio.run(parsed(b"1" + b" " * SHORT)) == (False, 1)


def test_a_long_body_is_as_strict() -> None:
    with pytest.raises(json.JSONDecodeError):
        asyncio.run(parsed(b"NaN" + b" " * AT_ONCE))


@pytest.mark.parametrize(
    "value", ["1", '""', '{"image":""}', "[]", "[[[[]]]]", '"\\\\\\""', '"\\\\\\\\"', '{"":0}']
)
def test_a_long_body_of_very_many_values_is_refused_unparsed(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strict_json, "from_json", lambda *_, **__: pytest.fail("was parsed"))
    body = f"[{','.join([value] * (MOST_VALUES + 1))}]".encode() + b" " * AT_ONCE
    with pytest.raises(json.JSONDecodeError, match="more than 100,000 values"):
        parse(body)


def test_texts_may_hold_any_number_of_marks() -> None:
    texts = [mark * MOST_VALUES for mark in (",", "[{", '",', "\\,", '\\",', "\\\\", '"')]
    for shift in range(4):  # so that a piece ends within an escape
        assert parse(json.dumps(["x" * shift, *texts]).encode()) == ["x" * shift, *texts]
