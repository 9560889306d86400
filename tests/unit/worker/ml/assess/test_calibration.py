"""Temperature and calibration error."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from worker.ml.assess import calibration
from worker.ml.assess.calibration import PRIOR


def draws(n: int, *, heat: float = 1.0, classes: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits that are `heat` times too large, and labels drawn from the right probabilities."""
    random = torch.Generator().manual_seed(seed)
    right = 2 * torch.randn(n, classes, generator=random)
    labels = torch.multinomial(right.softmax(1), 1, generator=random)[:, 0]
    return heat * right, labels


def penalised(logits: Tensor, labels: Tensor, heat: float, prior: float) -> float:
    loss = torch.nn.functional.cross_entropy(logits / heat, labels, reduction="sum")
    return float(loss) + (math.log(heat) - math.log(prior)) ** 2 / (2 * calibration.SPREAD**2)


class TestTemperature:
    @pytest.mark.parametrize("heat", [0.3, 1.0, 4.0])
    def test_many_examples_find_the_true_one(self, heat: float) -> None:
        logits, labels = draws(20_000, heat=heat)
        assert calibration.temperature(logits, labels, per_class=5) == pytest.approx(heat, rel=0.04)

    @pytest.mark.parametrize("n", [6, 40])
    def test_it_minimises_the_stated_sum(self, n: int) -> None:
        logits, labels = draws(n, heat=2.0)
        found = calibration.temperature(logits, labels, per_class=5)
        grid = np.exp(np.linspace(math.log(0.05), math.log(20), 2001))
        values = [penalised(logits, labels, float(heat), PRIOR[5]) for heat in grid]
        assert found == pytest.approx(grid[int(np.argmin(values))], rel=4e-3)

    @pytest.mark.parametrize(
        ("per_class", "known"), [(1, 1), (2, 2), (5, 5), (20, 20), (500, 20), (0.4, 1)]
    )
    def test_without_logits_it_is_the_prior(self, per_class: float, known: int) -> None:
        nothing = torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)
        assert calibration.temperature(*nothing, per_class=per_class) == pytest.approx(PRIOR[known])

    def test_between_known_sizes_the_prior_is_between(self) -> None:
        middle = calibration.prior_log_temperature(math.sqrt(2 * 5), calibration.PRIOR)
        assert math.exp(middle) == pytest.approx(math.sqrt(PRIOR[2] * PRIOR[5]))

    def test_logits_that_are_all_right_do_not_run_away(self) -> None:
        logits = 30 * torch.eye(4)[torch.arange(40) % 4]
        found = calibration.temperature(logits, torch.arange(40) % 4, per_class=10)
        assert found == pytest.approx(PRIOR[10], rel=0.01)

    def test_logits_that_are_all_equal_leave_the_prior(self) -> None:
        found = calibration.temperature(torch.zeros(9, 3), torch.arange(9) % 3, per_class=5)
        assert found == pytest.approx(PRIOR[5])

    def test_confident_nonsense_is_bounded(self) -> None:
        logits = 1e6 * torch.eye(3)[torch.arange(300) % 3]
        found = calibration.temperature(logits, (torch.arange(300) + 1) % 3, per_class=100)
        assert found == pytest.approx(calibration.HIGHEST)

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 10_000), st.integers(3, 40))
    def test_permuting_examples_or_classes_changes_nothing(self, seed: int, n: int) -> None:
        logits, labels = draws(n, seed=seed, heat=1.7)
        random = torch.Generator().manual_seed(seed)
        rows, columns = torch.randperm(n, generator=random), torch.randperm(4, generator=random)
        place = torch.argsort(columns)
        plain = calibration.temperature(logits, labels, per_class=5)
        other = calibration.temperature(logits[rows][:, columns], place[labels[rows]], per_class=5)
        assert other == pytest.approx(plain, rel=1e-4)

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 10_000), st.floats(0.2, 5))
    def test_scaled_logits_scale_it_where_the_prior_is_weak(self, seed: int, by: float) -> None:
        logits, labels = draws(400, seed=seed)
        plain = calibration.temperature(logits, labels, per_class=5, spread=1e3)
        scaled = calibration.temperature(by * logits, labels, per_class=5, spread=1e3)
        assert scaled == pytest.approx(by * plain, rel=1e-3)


def error_of(probabilities: Tensor, labels: Tensor) -> float:
    gaps, shares = calibration.calibration_gaps(probabilities, labels)
    return float((shares * gaps.abs()).sum())


class TestError:
    def test_of_calibrated_draws_is_small_and_of_hot_ones_large(self) -> None:
        logits, labels = draws(50_000)
        assert error_of(logits.softmax(1), labels) < 0.01
        assert error_of((4 * logits).softmax(1), labels) > 0.1

    def test_is_what_bins_say_one_by_one(self) -> None:
        logits, labels = draws(500)
        probs = logits.softmax(1)
        confidence, predicted = probs.numpy().max(1), probs.argmax(1)
        hits = (predicted == labels).numpy()
        expected = 0.0
        for low in np.arange(15) / 15:
            inside = (confidence > low) & (confidence <= low + 1 / 15)
            if inside.any():
                gap = abs(hits[inside].mean() - confidence[inside].mean())
                expected += inside.mean() * gap
        assert error_of(probs, labels) == pytest.approx(expected, abs=1e-6)

    def test_certainty_is_in_the_last_bin(self) -> None:
        assert calibration.bin_of(torch.tensor([1.0, 1e-9, 1 / 15]), 15).tolist() == [14, 0, 0]
