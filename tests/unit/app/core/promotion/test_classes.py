"""What a move takes from an alias's answers, and what of it was seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.promotion.classes import ClassChange, unasked_said, unasked_told

NAMES = st.lists(st.sampled_from([f"class {one}" for one in range(30)]), unique=True)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("abc", "ab", "lacks 1 of the incumbent's 3 classes: 'c'; "),
        ("abc", "xyz", "lacks 3 of the incumbent's 3 classes: 'a', 'b', 'c'; "),
        (["a", "not up"], ["a", "Not_up"], "spells classes otherwise than the incumbent: "),
        (["a", "not up"], ["a", "Not_up", "x"], "'Not_up' for 'not up'; "),
    ],
)
def test_a_class_that_is_gone_is_named(before: str, after: str, said: str) -> None:
    refusal = ClassChange.between(list(before), list(after)).refusal()
    assert refusal is not None
    assert said in refusal
    assert refusal.endswith('"classes": "any"')


@given(before=NAMES, more=NAMES)
def test_more_classes_are_no_loss(before: list[str], more: list[str]) -> None:
    after = list(dict.fromkeys([*more, *before]))
    change = ClassChange.between(before, after)
    assert change.refusal() is None
    assert sorted([*before, *change.added]) == sorted(after)


@given(before=NAMES, after=NAMES)
def test_whoever_lacks_one_is_refused(before: list[str], after: list[str]) -> None:
    change = ClassChange.between(before, after)
    assert (change.refusal() is None) == (set(before) <= set(after))
    assert change.told()["classes_lost"]["count"] == len(set(before) - set(after))


def test_what_was_not_asked_is_said_and_counted() -> None:
    many = [f"{one:02}" for one in range(15)]
    assert unasked_said(many, many) == ""
    said = unasked_said(many, {"00", "01"})
    assert said.startswith("; no held-out example is of 13 of its 15 classes: '02', '03'")
    assert said.endswith("'11' and 3 more")
    assert unasked_told(many, {"00"})["classes_unasked"]["count"] == 14
