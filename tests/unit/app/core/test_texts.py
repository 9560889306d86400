"""Numbers from headers: ASCII digits, and not more than fit in 64 bits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.texts import digits


@given(st.integers(0, 10**18 - 1))
def test_digits_are_a_number(number: int) -> None:
    assert digits(str(number)) == digits(f"{number:018}") == number


@pytest.mark.parametrize("text", ["", "-1", "+1", "1_0", " 1", "1.0", "\xb2", "\u0663", "9" * 19])
def test_anything_else_is_none(text: str) -> None:
    assert digits(text) is None


@given(st.text(max_size=30))
def test_any_text_has_an_answer(text: str) -> None:
    digits(text)
