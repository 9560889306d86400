"""Thresholds at a stated false-alarm rate, and what is like the support."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from worker.ml import folds
from worker.ml.assess import novelty


def unit(rows: Tensor) -> Tensor:
    return torch.nn.functional.normalize(rows, dim=1)


def around(labels: Tensor, centres: Tensor, random: torch.Generator) -> Tensor:
    """Unit rows near the centres of their classes."""
    noise = torch.randn(len(labels), centres.shape[1], generator=random)
    return unit(centres[labels] + 0.2 * noise)


class TestThreshold:
    @pytest.mark.parametrize("n", [25, 100])
    @pytest.mark.parametrize("rate", [0.05, 0.1, 0.2])
    def test_a_stated_share_of_known_inputs_falls_below(self, n: int, rate: float) -> None:
        random = torch.Generator().manual_seed(0)
        alarms = []
        for _ in range(200):
            sure = torch.rand(n + 500, generator=random)
            alike = 0.5 + 0.1 * torch.randn(n + 500, generator=random)
            known = novelty.fit_threshold(sure[:n], alike[:n])
            flagged = known.score(sure[n:], alike[n:]) < known.threshold(rate)
            alarms.append(float(flagged.float().mean()))
        assert sum(alarms) / 200 == pytest.approx(rate, abs=0.02)

    def test_rates_between_the_stored_ones_lie_between(self) -> None:
        known = novelty.fit_threshold(torch.rand(50), torch.rand(50))
        low, middle, high = (known.threshold(rate) for rate in (0.05, 0.06, 0.07))
        assert middle == pytest.approx((low + high) / 2)

    def test_rates_beyond_the_stored_ones_are_held_to_them(self) -> None:
        known = novelty.fit_threshold(torch.rand(50), torch.rand(50))
        assert known.threshold(1e-9) == known.threshold(novelty.RATES[0])
        assert known.threshold(0.9) == known.threshold(novelty.RATES[-1])

    def test_thresholds_rise_with_the_rate(self) -> None:
        known = novelty.fit_threshold(torch.rand(10), torch.rand(10))
        assert list(known.thresholds) == sorted(known.thresholds)

    def test_a_part_that_hardly_varies_does_not_rule(self) -> None:
        known = novelty.fit_threshold(torch.full((20,), 0.999), torch.rand(20))
        assert known.spreads[0] == novelty.LEAST_SPREAD[0]

    def test_without_folds_only_likeness_counts_and_it_says_so(self) -> None:
        known = novelty.fit_threshold(None, torch.tensor([0.2, 0.3, 0.25]))
        assert not known.estimable
        sure, unsure = (known.score(torch.tensor([p]), torch.tensor([0.4])) for p in (0.9, 0.1))
        assert torch.equal(sure, unsure)

    def test_one_example_gives_a_threshold_below_it(self) -> None:
        known = novelty.fit_threshold(None, torch.tensor([0.5]))
        assert known.threshold() < float(known.score(torch.zeros(1), torch.tensor([0.5])))

    def test_json_brings_it_back(self) -> None:
        known = novelty.fit_threshold(torch.rand(9), torch.rand(9))
        assert novelty.NoveltyDetector.from_json(json.loads(json.dumps(known.as_json()))) == known


class TestLikeness:
    def test_is_the_mean_of_the_three_nearest_of_the_class(self) -> None:
        support = unit(torch.randn(10, 4))
        labels = torch.tensor([0] * 6 + [1] * 4)
        row = unit(torch.randn(1, 4))
        found = novelty.similarity(row, support, labels, torch.tensor([0]))
        wanted = (support[:6] @ row[0]).sort(descending=True).values[:3].mean()
        torch.testing.assert_close(found[0], wanted)

    def test_a_class_of_one_has_one_neighbour_and_an_empty_one_all(self) -> None:
        support, labels = torch.eye(3), torch.tensor([0, 1, 1])
        rows = torch.eye(3)
        found = novelty.similarity(rows, support, labels, torch.tensor([0, 1, 2]))
        torch.testing.assert_close(found, torch.tensor([1.0, 0.5, 1 / 3]))

    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 10_000))
    def test_leaving_oneself_out_is_really_leaving_out(self, seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        support = unit(torch.randn(9, 5, generator=random))
        labels = torch.randint(3, (9,), generator=random)
        found = novelty.of_support(support, labels, labels)
        for row in range(9):
            rest = torch.arange(9) != row
            alone = novelty.similarity(
                support[row : row + 1], support[rest], labels[rest], labels[row : row + 1]
            )
            torch.testing.assert_close(found[row], alone[0])

    def test_between_classes_never_looks_at_ones_own(self) -> None:
        support = unit(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]))
        found = novelty.between_classes(support, torch.tensor([0, 0, 1]))
        torch.testing.assert_close(found, torch.tensor([0.0, 0.0995, 0.0995]), atol=1e-3, rtol=0)


class TestExemplars:
    @given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 8))
    def test_keep_the_first_of_every_class_in_order(self, labels: list[int], most: int) -> None:
        kept = folds.first_of_each(torch.tensor(labels), most).tolist()
        counts = dict.fromkeys(labels, 0)
        wanted = []
        for row, label in enumerate(labels):
            counts[label] += 1
            if counts[label] <= most:
                wanted.append(row)
        assert kept == wanted


def test_another_kind_of_input_is_unknown() -> None:
    random = torch.Generator().manual_seed(0)
    centres = 2 * unit(torch.randn(5, 32, generator=random))
    labels = torch.arange(50) % 5
    support = around(labels, centres, random)
    test = around(torch.arange(200) % 5, centres, random)
    strange = unit(torch.randn(200, 32, generator=random))
    known = novelty.fit_threshold(
        (8 * support @ centres.T).softmax(1).amax(1),
        novelty.of_support(support, labels, labels),
    )

    def flagged(rows: Tensor) -> float:
        top, said = (8 * rows @ centres.T).softmax(1).max(1)
        score = known.score(top, novelty.similarity(rows, support, labels, said))
        return float((score < known.threshold()).float().mean())

    assert flagged(strange) > 0.95
    assert flagged(test) < 0.12
