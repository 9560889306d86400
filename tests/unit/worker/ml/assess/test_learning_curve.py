"""The learning curve's law, its masks and its forecasts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worker.ml.assess import learning_curve
from worker.ml.assess.intervals import GROWTH
from worker.ml.assess.learning_curve import Point


def law_of(level: float, exponent: float, sizes: list[int], judged: int) -> learning_curve.Law:
    points = [Point(per_class=m, accuracy=1 - level * m**-exponent, judged=judged) for m in sizes]
    found = learning_curve.law(points)
    assert found is not None
    return found


class TestLaw:
    def test_many_judgements_find_level_and_exponent(self) -> None:
        found = law_of(0.5, 0.6, [1, 2, 4, 8], judged=100_000)
        assert found.exponent == pytest.approx(0.6, abs=0.01)
        assert found.error(8) == pytest.approx(0.5 * 8**-0.6, rel=0.01)

    def test_few_judgements_leave_the_expected_exponent(self) -> None:
        found = law_of(0.5, 0.9, [1, 2], judged=6)
        assert found.exponent == pytest.approx(GROWTH["image"].exponent, abs=0.1)

    def test_a_curve_that_falls_is_read_as_flat(self) -> None:
        points = [Point(per_class=m, accuracy=a, judged=10**6) for m, a in ((1, 0.9), (8, 0.2))]
        found = learning_curve.law(points)
        assert found is not None
        assert found.exponent == 0.0
        assert found.fall(8, 16)[0] == 0.0

    def test_no_points_no_law(self) -> None:
        assert learning_curve.law([]) is None
        assert learning_curve.as_json([], 5) is None

    def test_no_errors_at_all_still_forecast(self) -> None:
        found = learning_curve.as_json([Point(per_class=4, accuracy=1.0, judged=20)], 5)
        assert found is not None
        json.dumps(found, allow_nan=False)

    def test_doubling_takes_off_the_stated_share(self) -> None:
        found = law_of(0.5, 0.5, [1, 2, 4], judged=10**6)
        fall, spread = found.fall(4, 8)
        assert fall == pytest.approx(1 - 2 ** (-0.5 * (1 + 1 / 4)), abs=0.01)
        assert 0 < spread < 0.1


class TestForecast:
    def test_is_ordered_and_has_its_accuracy_inside(self) -> None:
        points = [Point(per_class=m, accuracy=1 - 0.4 * m**-0.3, judged=50) for m in (4, 1, 2)]
        found = learning_curve.as_json(points, 5)
        assert found is not None
        assert [point["per_class"] for point in found["points"]] == [1, 2, 4]  # type: ignore[index,attr-defined]
        for point in found["forecast"]:  # type: ignore[attr-defined]
            assert 0 <= point["low"] <= point["accuracy"] <= point["high"] <= 1


class TestOwnPoint:
    def test_that_comes_by_another_way_to_the_same_size_is_one_with_it(self) -> None:
        points = [Point(per_class=m, accuracy=0.8, judged=50) for m in (4, 15.2)]
        found = learning_curve.as_json(points, 19, replace(points[1], per_class=19 * 0.8))
        assert 19 * 0.8 != 15.2
        assert found is not None
        assert [round(one["per_class"], 9) for one in found["points"]] == [4, 15.2]  # type: ignore[attr-defined]

    simpler = (
        Point(per_class=1, accuracy=0.5, judged=100),
        Point(per_class=2, accuracy=0.6, judged=100),
    )

    def test_gives_the_level_and_the_others_the_slope(self) -> None:
        own = Point(per_class=4, accuracy=0.9, judged=100)
        found, without = learning_curve.law(self.simpler, own), learning_curve.law(self.simpler)
        assert found is not None
        assert without is not None
        assert found.exponent == without.exponent
        assert found.error(4) == pytest.approx(0.1, abs=0.005)

    def test_of_two_folds_the_forecast_starts_at_what_the_whole_fit_is_expected_to_have(
        self,
    ) -> None:
        own = Point(per_class=1, accuracy=0.5, judged=10_000)
        present = learning_curve.today(own, 2, 0.5)
        found = learning_curve.as_json([], 2, own, present)
        assert found is not None
        assert found["points"][0]["accuracy"] == 0.5  # type: ignore[index]
        first = found["forecast"][0]  # type: ignore[index]
        assert first["accuracy"] > present.accuracy > 0.6

    def test_alone_leaves_the_expected_exponent(self) -> None:
        found = learning_curve.law([], Point(per_class=1, accuracy=0.5, judged=10))
        assert found is not None
        assert found.exponent == pytest.approx(GROWTH["image"].exponent)

    def test_texts_gain_less_of_more_and_no_faster_from_few(self) -> None:
        own = Point(per_class=1, accuracy=0.5, judged=10)
        pictures, texts = learning_curve.law([], own), learning_curve.law([], own, GROWTH["text"])
        assert pictures is not None
        assert texts is not None
        assert texts.exponent == pytest.approx(GROWTH["text"].exponent)
        assert texts.exponent < pictures.exponent
        assert texts.fall(1, 2)[0] == pytest.approx(1 - 2**-texts.exponent)
        assert pictures.fall(1, 2)[0] == pytest.approx(1 - 4**-pictures.exponent)
        assert texts.error(2) > pictures.error(2)

    @given(
        st.floats(0, 1),
        st.lists(st.tuples(st.sampled_from([1.0, 2.0, 4.0]), st.floats(0, 1)), max_size=3),
        st.integers(1, 1000),
    )
    def test_no_forecast_is_below_it(
        self, accuracy: float, others: list[tuple[float, float]], judged: int
    ) -> None:
        points = [Point(per_class=m, accuracy=a, judged=judged) for m, a in others]
        own = Point(per_class=4.0, accuracy=accuracy, judged=judged)
        found = learning_curve.as_json(points, 5, own, learning_curve.today(own, 5, 1.0))
        assert found is not None
        assert found["points"][-1]["accuracy"] == accuracy  # type: ignore[index]
        for point in found["forecast"]:  # type: ignore[attr-defined]
            assert accuracy <= point["accuracy"]
            assert 0 <= point["low"] <= point["accuracy"] <= point["high"] <= 1


class TestMasks:
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
    fold = torch.tensor([0, 1, 2, 3] * 3)

    def test_sizes_are_powers_below_what_a_fold_trains_on(self) -> None:
        assert learning_curve.sizes(self.labels, self.fold) == [1, 2]

    def test_each_fit_has_that_many_of_each_class_and_none_of_its_fold(self) -> None:
        masks = learning_curve.masks(self.labels, self.fold, 2)
        assert masks.shape == (4, 12)
        for number, mask in enumerate(masks):
            kept = mask > 0
            assert torch.bincount(self.labels[kept]).tolist() == [2, 2, 2]
            assert not bool((self.fold[kept] == number).any())
