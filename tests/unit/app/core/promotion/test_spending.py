"""The alpha of an alias: never overspent, refilled by what is fresh."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.promotion.spending import Budget, ask, budget, mark


def looks(marks: list[str], count: int) -> tuple[list[Budget], Mapping[str, int]]:
    asked: Mapping[str, int] = {}
    had = []
    for _ in range(count):
        had.append(budget([[one] for one in marks], asked, alpha=0.05))
        asked = ask(marks, asked)
    return had, asked


@given(count=st.integers(1, 200))
def test_all_looks_together_stay_within_alpha(count: int) -> None:
    had, _ = looks(["a", "b"], count)
    assert sum(one.level for one in had) <= 0.05
    assert had[-1].told()["spent"] == pytest.approx(sum(one.level for one in had))


def test_the_numbers_of_looks_count_up() -> None:
    had, asked = looks(["a", "b", "c"], 3)
    assert [one.look for one in had] == [1, 2, 3]
    assert had[0].fresh == 1
    assert had[1].fresh == 0
    half = budget(["a", "b", "c", "d", "e", "f"], asked, alpha=0.05)
    assert (half.look, half.fresh) == (2.5, 0.5)
    assert budget(["x", "y"], asked, alpha=0.05).look == 1


@given(look=st.integers(1, 6), count=st.integers(1, 20), more=st.integers(0, 40))
def test_the_next_look_is_known_before_it(look: int, count: int, more: int) -> None:
    marks = [str(n) for n in range(count)]
    had, asked = looks(marks, look)
    units = [[one] for one in [*marks, *(f"new {n}" for n in range(more))]]
    then, said = budget(units, asked, alpha=0.05), had[-1].after(more / count)
    assert (said.look, said.fresh) == (pytest.approx(then.look), pytest.approx(then.fresh))


def test_what_is_remembered_is_not_the_content_and_is_the_alias_s_own() -> None:
    one, other = mark("a@production", "0" * 64), mark("b@production", "0" * 64)
    assert one != other
    assert len(one) == 16


def test_a_copy_of_what_was_asked_is_not_fresh() -> None:
    asked = ask(["a"], {})
    copied = budget([["a", "copy of a"], ["b"]], asked, alpha=0.05)
    assert (copied.look, copied.fresh) == (1.5, 0.5)
    many = budget([["a", *(f"copy {n}" for n in range(99))]], asked, alpha=0.05)
    assert (many.look, many.fresh) == (2, 0)
