"""The tests against what tables, other libraries and laws say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from app.core.promotion import paired_tests
from app.core.promotion.pairs import Discordance, discordance
from tests.unit.app.core.promotion.drawing import pairs_of


def found(won: int, lost: int, count: int) -> Discordance:
    return Discordance(count, won, lost, count, 1.0)


@given(won=st.integers(0, 400), lost=st.integers(0, 400))
def test_mcnemar_is_the_exact_binomial_test(won: int, lost: int) -> None:
    expected = stats.binom.sf(won - 1, won + lost, 0.5) if won + lost else 1.0
    assert paired_tests.mcnemar(won, lost) == pytest.approx(expected, abs=1e-9)


def test_many_pairs_are_tested_as_well() -> None:
    assert paired_tests.mcnemar(700, 600) == pytest.approx(stats.binom.sf(699, 1300, 0.5), rel=0.02)


def test_non_inferiority_without_discordant_pairs() -> None:
    """Tango's score is then sqrt(n d / (1 - d)), as his paper has it."""
    z = (200 * 0.02 / 0.98) ** 0.5
    p = paired_tests.non_inferiority(found(0, 0, 200), 0.02, 0.05)
    assert p == pytest.approx(stats.norm.sf(z), rel=1e-6)


@given(won=st.integers(0, 50), lost=st.integers(0, 50), more=st.integers(0, 300))
def test_the_two_sides_are_one_another_s_rest(won: int, lost: int, more: int) -> None:
    pairs = found(won, lost, won + lost + more + 1)
    one = paired_tests.non_inferiority(pairs, 0.02, 0.05)
    assert one + paired_tests.inferiority(pairs, 0.02, 0.05) == pytest.approx(1, abs=1e-6)


@given(won=st.integers(0, 50), lost=st.integers(0, 50), margin=st.floats(0.001, 0.3))
def test_losses_are_no_evidence(won: int, lost: int, margin: float) -> None:
    least, more = found(won, lost, 200), found(won, lost + 1, 200)
    one = paired_tests.non_inferiority(least, margin, 0.05)
    assert one <= paired_tests.non_inferiority(more, margin, 0.05) + 1e-9


@pytest.mark.parametrize(("level", "freedom"), [(0.03, 4), (0.05, 10), (0.001, 30), (0.0001, 60)])
def test_student_s_quantile(level: float, freedom: int) -> None:
    expected = stats.t.isf(level, freedom)
    assert paired_tests.student(level, freedom) == pytest.approx(expected, rel=0.03)


def test_the_least_discordant_pairs() -> None:
    assert paired_tests.least_pairs(0.05) == 5
    assert paired_tests.mcnemar(5, 0) <= 0.05 < paired_tests.mcnemar(4, 0)


def test_groups_of_unrelated_answers_have_no_effect() -> None:
    assert discordance(pairs_of(won=5, lost=5, right=90)).effect == 1.0
    together = discordance(pairs_of(won=10, lost=10, right=80, group=10))
    assert together.effect > 5


@pytest.mark.parametrize("margin", [0.01, 0.02, 0.1, 0.3])
@pytest.mark.parametrize("level", [0.05, 0.03, 0.001])
def test_with_the_least_examples_a_margin_can_be_shown_and_with_one_less_it_cannot(
    margin: float, level: float
) -> None:
    least = paired_tests.least_examples(margin, level)
    assert paired_tests.non_inferiority(found(0, 0, least), margin, level) <= level
    assert paired_tests.non_inferiority(found(0, 0, least - 1), margin, level) > level
    wider = paired_tests.least_margin(least, level)
    assert wider <= margin
    assert paired_tests.least_margin(least - 1, level) > margin
