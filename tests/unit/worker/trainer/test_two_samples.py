"""The permutation test: its false alarms, what it finds, and that it can be told apart by hand."""

from __future__ import annotations

import numpy as np
import pytest

from worker.trainer import two_samples
from worker.trainer.kinds.drift import Sample, window_result

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
    assert two_samples.judged([found, found]) == (2 * found.p, True)


def test_another_mix_of_the_same_classes_is_none_within_the_classes() -> None:
    random = np.random.default_rng(5)
    labels = ["a"] * 35 + ["b"] * 5 + ["a"] * 5 + ["b"] * 25
    rows = random.normal(size=(70, 3)) + np.array([[3.0 * (one == "b")] for one in labels])
    assert p_value(rows) < 0.001
    assert p_value(rows, strata=labels) > 0.05


def test_equal_inputs_differ_in_nothing() -> None:
    found = two_samples.compare(np.zeros((70, 70)), SIZES, 0)
    assert (found.p, found.effect) == (1.0, 0.0)


def test_a_large_p_needs_no_more_permutations_and_alarms_neither_way() -> None:
    random = np.random.default_rng(8)
    rows = random.normal(size=(70, 4))
    p = p_value(rows)
    assert p > 0.05
    assert (p * 500) % 1 == pytest.approx(0.0, abs=1e-6), "500 labellings, the own one among them"


def sample(random: np.random.Generator, size: int, shift: float = 0.0) -> Sample:
    rows = random.normal(size=(size, 8)) + shift
    answers = [{"label": "a" if row[0] > 0 else "b", "scores": {"a": 1.0}} for row in rows]
    return Sample(embeddings=rows, answers=answers, labels=["a"] * size)


def test_a_window_names_its_strangest_inputs_and_its_mix() -> None:
    random = np.random.default_rng(2)
    reference, window = sample(random, 100), sample(random, 50)
    window.embeddings[17] += 50
    found = window_result(reference, window, 1)
    assert found["drifted"] is False
    assert found["strangest"][0][0] == 17
    assert sum(one["window"] for one in found["class_mix"]) == pytest.approx(1)
    assert found["given_class"]["labelled"] == [100, 50]
    assert window_result(reference, sample(random, 50, 1.0), 2)["drifted"] is True
    assert window_result(reference, window, 1) == found, "the same window, the same answer"
