"""The permutation test: its false alarms, what it finds, and that it can be told apart by hand."""

from __future__ import annotations

import numpy as np
import pytest

from app.core.live.drifting import ALPHA, LONGER
from worker.trainer import two_samples

pytestmark = pytest.mark.slow

SIZES = (40, 30)


def p_value(rows: np.ndarray, seed: int = 0, strata: list[str] | None = None) -> float:
    apart = two_samples.distances(rows)
    return two_samples.compare(apart, SIZES, seed, strata).p


def test_the_energy_distance_is_what_its_definition_says() -> None:
    rows = np.array([[0.0], [1.0], [3.0], [7.0]])
    found = two_samples.compare(two_samples.distances(rows), (2, 2), 0)
    energy = 2 * (3 + 7 + 2 + 6) / 4 - 1 - 4
    assert found.effect == pytest.approx(energy / (2 * 4.5))
    assert found.p == pytest.approx(1 / 3, abs=0.05), (
        "two of six ways to part them are as far apart"
    )


def test_p_is_uniform_where_nothing_differs() -> None:
    random = np.random.default_rng(5)
    found = np.array([p_value(random.normal(size=(70, 6)), seed) for seed in range(200)])
    assert (found <= 0.05).mean() <= 0.09
    assert 0.4 < found.mean() < 0.6


def test_a_shift_is_found_and_measured() -> None:
    random = np.random.default_rng(5)
    rows = random.normal(size=(70, 6))
    rows[40:] += 1.0
    found = two_samples.compare(two_samples.distances(rows), SIZES, 1)
    assert found.p == 1 / (1 + two_samples.PERMUTATIONS)
    assert found.effect > 0.02
    assert two_samples.judged([found, found]) == (3 * found.p, True)


def test_another_mix_of_the_same_classes_is_none_within_the_classes() -> None:
    random = np.random.default_rng(5)
    labels = ["a"] * 35 + ["b"] * 5 + ["a"] * 5 + ["b"] * 25
    rows = random.normal(size=(70, 3)) + np.array([[3.0 * (one == "b")] for one in labels])
    assert p_value(rows) < 0.001
    assert p_value(rows, strata=labels) > 0.05


def test_a_small_shift_where_little_varies_is_found_by_the_whitened_mean() -> None:
    random = np.random.default_rng(4)
    rows = random.normal(size=(70, 6)) * np.array([10, 10, 10, 10, 10, 2.0])
    rows[40:, 5] += 4.0
    found = two_samples.compare(two_samples.whitened(rows), SIZES, 1)
    assert found.p < 0.001 < p_value(rows)
    assert 0.01 < found.effect < 1


def test_whitening_heeds_no_scale_and_no_labels() -> None:
    rows = np.random.default_rng(4).normal(size=(70, 6))
    apart = two_samples.whitened(rows)
    assert np.allclose(apart, two_samples.whitened(5 * rows + 3))
    order = np.random.default_rng(1).permutation(70)
    assert np.allclose(two_samples.whitened(rows[order]), apart[np.ix_(order, order)])


def test_p_of_the_means_is_uniform_where_nothing_differs() -> None:
    random = np.random.default_rng(6)
    found = []
    for seed in range(200):
        rows = random.dirichlet(np.full(5, 0.3), 70)
        found.append(
            [
                two_samples.compare_means(rows, SIZES, seed).p,
                two_samples.compare(two_samples.whitened(rows), SIZES, seed).p,
            ]
        )
    assert ((np.array(found) <= 0.05).mean(0) <= 0.09).all()
    assert (np.abs(np.mean(found, 0) - 0.5) < 0.1).all()


def test_one_class_that_comes_more_often_is_found_among_many() -> None:
    random = np.random.default_rng(6)
    classes = np.append(random.integers(0, 20, 40), random.integers(0, 20, 30))
    classes[55:] = 3
    rows = 0.8 * np.eye(20)[classes] + 0.01
    found = two_samples.compare_means(rows, SIZES, 1)
    assert found.p < 0.0005
    own = rows[40:, 3].mean() - rows[:40, 3].mean()
    assert found.effect == pytest.approx(own)


def test_equal_answers_have_no_mean_that_differs() -> None:
    found = two_samples.compare_means(np.full((70, 3), 1 / 3), SIZES, 0)
    assert (found.p, found.effect) == (1.0, 0.0)


def test_equal_inputs_differ_in_nothing() -> None:
    found = two_samples.compare(np.zeros((70, 70)), SIZES, 0)
    assert (found.p, found.effect) == (1.0, 0.0)
    assert two_samples.compare(two_samples.whitened(np.ones((70, 3))), SIZES, 0).p == 1.0


def test_a_large_p_needs_no_more_permutations_and_alarms_neither_way() -> None:
    random = np.random.default_rng(8)
    rows = random.normal(size=(70, 4))
    p = p_value(rows)
    assert p > 0.05
    assert (p * 500) % 1 == pytest.approx(0.0, abs=1e-6), "500 labellings, the own one among them"


def test_what_is_tested_together_has_the_level_that_its_windows_have_kept() -> None:
    def told(p: float) -> two_samples.TwoSampleTest:
        return two_samples.TwoSampleTest(p, 0.1)

    quiet = [told(1.0)] * 4
    each, kept = ALPHA / 5, LONGER * ALPHA / 5
    p, drifted = two_samples.judged([*quiet[1:], told(each)])
    assert p == pytest.approx(ALPHA)
    assert drifted
    assert two_samples.judged(quiet, told(0.999 * kept))[1] is True
    assert two_samples.judged(quiet, told(1.001 * kept))[1] is False
    spent = LONGER * 4 * each + kept
    assert spent == pytest.approx(LONGER * ALPHA), "four windows spend no more than their level"


def test_a_test_can_be_given_up_before_all_is_permuted() -> None:
    rows = np.vstack([np.zeros((40, 3)), np.ones((30, 3))]) + np.eye(70, 3)
    asked: list[None] = []

    def pause() -> None:
        asked.append(None)
        if len(asked) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        two_samples.compare(two_samples.distances(rows), SIZES, 0, pause=pause)
    asked.clear()
    with pytest.raises(InterruptedError):
        two_samples.compare_means(rows, SIZES, 0, pause=pause)
