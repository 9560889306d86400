"""Every figure against scikit-learn, and every interval against the truth."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from torch import Tensor

from worker.ml.assess import evaluation, intervals, new_sources

pytestmark = pytest.mark.slow

NAMES = ["a", "b", "c", "d"]
FIGURES = ("accuracy", "balanced_accuracy", "log_loss", "calibration_error")


def world(
    n: int, *, classes: int = 4, noise: float = 1.5, heat: float = 1.0, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Probabilities (hot or cold) and labels of points around known centres."""
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, 6, generator=torch.Generator().manual_seed(5))
    labels = torch.randint(classes, (n,), generator=random)
    points = centres[labels] + noise * torch.randn(n, 6, generator=random)
    logits = (points @ centres.T - 0.5 * centres.square().sum(1)) / noise**2
    return (logits / heat).softmax(1), labels


def values(result: dict[str, Any]) -> dict[str, float]:
    return {name: result[name]["value"] for name in FIGURES}


class TestFigures:
    def test_are_scikit_learns(self) -> None:
        probs, labels = world(200)
        said = probs.argmax(1)
        found = evaluation.evaluate(probs, labels, NAMES, how="hold-out")
        assert found["accuracy"]["value"] == pytest.approx(metrics.accuracy_score(labels, said))
        balanced = metrics.balanced_accuracy_score(labels, said)
        assert found["balanced_accuracy"]["value"] == pytest.approx(balanced)
        assert found["log_loss"]["value"] == pytest.approx(
            metrics.log_loss(labels, probs.numpy()), rel=1e-5
        )
        matrix = metrics.confusion_matrix(labels, said)
        assert found["confusion_matrix"] == {"labels": NAMES, "counts": matrix.tolist()}
        columns = metrics.precision_recall_fscore_support(labels, said)
        for row, precision, recall, f1, support in zip(found["per_class"], *columns, strict=True):
            assert row["precision"]["value"] == pytest.approx(precision)
            assert row["recall"]["value"] == pytest.approx(recall)
            assert row["f1"]["value"] == pytest.approx(f1)
            assert row["support"] == support

    def test_every_figure_lies_in_its_interval(self) -> None:
        found = evaluation.evaluate(*world(60), NAMES, how="k-fold", folds=5)
        shares = [found[name] for name in FIGURES]
        shares += [
            row[name] for row in found["per_class"] for name in ("precision", "recall", "f1")
        ]
        for share in shares:
            assert 0 <= share["low"] <= share["value"] <= share["high"]

    def test_a_class_without_examples_or_predictions_has_no_share(self) -> None:
        probs = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
        found = evaluation.evaluate(probs, torch.tensor([0, 1]), NAMES[:3], how="hold-out")
        nothing = evaluation.NOT_ESTIMABLE
        assert found["per_class"][2] == {
            "label": "c",
            "support": 0,
            **dict.fromkeys(("precision", "recall", "f1"), nothing),
        }
        assert found["balanced_accuracy"]["value"] == 1.0

    def test_held_out_examples_of_half_the_classes_judge_nothing(self) -> None:
        probs = torch.tensor([[0.9, 0.1], [0.8, 0.2]])
        found = evaluation.evaluate(probs, torch.tensor([0, 0]), NAMES[:2], how="hold-out")
        assert not found["estimable"]
        assert "held-out" in found["reason"]

    def test_a_few_perfect_answers_prove_little(self) -> None:
        probs = torch.tensor([[0.999, 0.001], [0.001, 0.999]]).repeat(5, 1)
        found = evaluation.evaluate(probs, torch.arange(10) % 2, NAMES[:2], how="hold-out")
        assert found["log_loss"]["high"] > 0.1
        assert found["calibration_error"]["high"] > 0.05

    def test_the_reliability_curve_counts_every_example(self) -> None:
        curve = evaluation.evaluate(*world(200), NAMES, how="hold-out")["curves"]["reliability"]
        assert sum(point["count"] for point in curve) == 200
        assert [point["confidence"] for point in curve] == sorted(p["confidence"] for p in curve)

    def test_a_probability_of_zero_costs_much_but_not_all(self) -> None:
        probs = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        found = evaluation.evaluate(probs, torch.tensor([0, 1, 1]), NAMES[:2], how="hold-out")
        assert 11 < found["log_loss"]["value"] < 12


class TestHow:
    def test_is_said(self) -> None:
        probs, labels = world(40)
        for how, folds in (("hold-out", None), ("k-fold", 5), ("leave-one-out", None)):
            found = evaluation.evaluate(probs, labels, NAMES, how=how, folds=folds)  # type: ignore[arg-type]
            assert found["how"]["method"] == how
            assert found["how"]["num_examples"] == 40
            assert found["how"].get("folds") == folds

    def test_one_example_a_class_is_not_estimable_out_of_fold(self) -> None:
        probs = torch.full((4, 4), 0.25)
        found = evaluation.evaluate(probs, torch.arange(4), NAMES, how="leave-one-out")
        assert found["estimable"] is False
        assert "not estimable" in found["reason"]
        assert found["accuracy"] == {"value": None, "low": None, "high": None}
        assert len(found["per_class"]) == 4

    def test_one_example_a_class_is_enough_held_out(self) -> None:
        probs = torch.eye(4) * 0.6 + 0.1
        found = evaluation.evaluate(probs, torch.arange(4), NAMES, how="hold-out")
        assert found["accuracy"]["value"] == 1.0

    def test_a_single_example_of_one_class_is_left_out(self) -> None:
        probs, labels = world(41)
        lonely = torch.where(labels == 3, 0, labels)
        lonely[-1] = 3
        found = evaluation.evaluate(probs, lonely, NAMES, how="k-fold", folds=5)
        assert found["how"]["left_out"] == 1
        assert found["how"]["num_examples"] == 40
        assert found["per_class"][3]["recall"]["value"] is None

    def test_nothing_at_all_is_not_estimable(self) -> None:
        nothing = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)
        assert not evaluation.evaluate(*nothing, NAMES, how="hold-out")["estimable"]

    def test_it_is_json(self) -> None:
        import json

        for n in (1, 4, 50):
            json.dumps(evaluation.evaluate(*world(n), NAMES, how="hold-out"), allow_nan=False)


class TestLaws:
    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 10_000), st.integers(12, 60))
    def test_permuting_examples_changes_nothing(self, seed: int, n: int) -> None:
        probs, labels = world(n, seed=seed)
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
        plain = evaluation.evaluate(probs, labels, NAMES, how="hold-out")
        other = evaluation.evaluate(probs[order], labels[order], NAMES, how="hold-out")
        assert values(other) == pytest.approx(values(plain))
        assert other["confusion_matrix"] == plain["confusion_matrix"]

    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 10_000), st.permutations(range(4)))
    def test_renaming_labels_permutes_the_classes(self, seed: int, order: list[int]) -> None:
        probs, labels = world(40, seed=seed)
        place = torch.argsort(torch.tensor(order))
        names = [NAMES[c] for c in order]
        plain = evaluation.evaluate(probs, labels, NAMES, how="hold-out")
        other = evaluation.evaluate(probs[:, order], place[labels], names, how="hold-out")
        assert values(other) == pytest.approx(values(plain))
        assert sorted(other["per_class"], key=lambda row: row["label"]) == plain["per_class"]

    @settings(max_examples=10, deadline=None)
    @given(st.integers(0, 10_000))
    def test_duplicating_examples_narrows_intervals_around_the_same_values(self, seed: int) -> None:
        probs, labels = world(40, seed=seed)
        plain = evaluation.evaluate(probs, labels, NAMES, how="hold-out")
        twice = evaluation.evaluate(probs.repeat(2, 1), labels.repeat(2), NAMES, how="hold-out")
        assert values(twice) == pytest.approx(values(plain))
        width = [one["accuracy"]["high"] - one["accuracy"]["low"] for one in (plain, twice)]
        assert width[1] < width[0]


@pytest.mark.parametrize(
    ("classes", "noise", "heat"), [(3, 1.5, 1.0), (10, 1.2, 0.6), (2, 2.0, 1.5)]
)
@pytest.mark.parametrize("n", [40, 150])
def test_hold_out_intervals_hold_the_truth(n: int, classes: int, noise: float, heat: float) -> None:
    names = [str(c) for c in range(classes)]

    def drawn(size: int, seed: int) -> dict[str, Any]:
        probs, labels = world(size, classes=classes, noise=noise, heat=heat, seed=seed)
        return evaluation.evaluate(probs, labels, names, how="hold-out")

    truth, held = drawn(100_000, seed=10**6), Counter[str]()
    for seed in range(200):
        found = drawn(n, seed)
        for name in FIGURES:
            held[name] += found[name]["low"] <= truth[name]["value"] <= found[name]["high"]
        for name in ("precision", "recall", "f1"):
            share, true = found["per_class"][0][name], truth["per_class"][0][name]["value"]
            held[name] += share["value"] is None or share["low"] <= true <= share["high"]
    assert min(held.values()) >= 0.87 * 200, held
    assert min(held[name] for name in ("accuracy", "balanced_accuracy", "recall")) >= 180, held


def nearest_mean(train: Tensor, labels: Tensor, rows: Tensor) -> Tensor:
    """Logits [q, 4]: minus half the squared distance to each class's mean."""
    hot = torch.nn.functional.one_hot(labels, 4).float()
    means = (hot.T @ train) / hot.sum(0)[:, None]
    return -0.5 * torch.cdist(rows, means).square()


@pytest.mark.parametrize(("per_class", "widest"), [(2, 0.59), (5, 0.45), (10, 0.34), (20, 0.26)])
def test_out_of_fold_intervals_hold_the_final_fits_accuracy(per_class: int, widest: float) -> None:
    centres = torch.randn(4, 6, generator=torch.Generator().manual_seed(5))
    random = torch.Generator().manual_seed(0)

    def points(labels: Tensor) -> Tensor:
        return centres[labels] + 1.6 * torch.randn(len(labels), 6, generator=random)

    held, widths, folds = 0, 0.0, min(per_class, 5)
    true = torch.arange(4000) % 4
    for _ in range(200):
        labels = torch.arange(4 * per_class) % 4
        rows, test = points(labels), points(true)
        fold = (torch.arange(len(labels)) // 4) % folds
        logits = torch.empty(len(labels), 4)
        for number in range(folds):
            seen = fold != number
            logits[~seen] = nearest_mean(rows[seen], labels[seen], rows[~seen])
        found = evaluation.evaluate(logits.softmax(1), labels, NAMES, how="k-fold", folds=folds)
        accuracy = float((nearest_mean(rows, labels, test).argmax(1) == true).float().mean())
        share = found["balanced_accuracy"]
        held += share["low"] <= accuracy <= share["high"]
        widths += (share["high"] - share["low"]) / 200
    assert held >= 180
    assert widths <= widest


class TestNewSources:
    def test_are_lower_and_wider_and_around_their_value(self) -> None:
        found = evaluation.evaluate(*world(60), NAMES, how="k-fold", folds=5)
        there, here = found["new_sources"]["accuracy"], found["accuracy"]
        assert there["low"] < there["value"] < there["high"]
        assert there["value"] < here["expected"]
        assert there["high"] - there["low"] > here["high"] - here["low"]
        assert found["new_sources"]["holds_for"]

    @given(st.floats(1e-6, 1 - 1e-6), st.floats(0, 0.3))
    def test_stay_shares(self, expected: float, variance: float) -> None:
        found = new_sources.new_sources(expected, variance)["accuracy"]
        assert 0 <= found["low"] <= found["value"] <= found["high"] <= 1

    def test_nothing_estimable_is_told_of_none(self) -> None:
        found = evaluation.evaluate(torch.eye(4), torch.arange(4), NAMES, how="leave-one-out")
        assert found["new_sources"] is None

    def test_every_figure_says_what_it_holds_for(self) -> None:
        fields: dict[str, Any] = {"how": "k-fold", "folds": 5}
        alone = evaluation.evaluate(*world(60), NAMES, **fields)
        grouped = evaluation.evaluate(*world(60), NAMES, **fields, grouped=True)
        held_out = evaluation.evaluate(*world(60), NAMES, how="hold-out")
        told = [one["how"]["holds_for"] for one in (alone, grouped, held_out)]
        assert len(set(told)) == 3
        assert held_out["accuracy"]["expected"] == held_out["accuracy"]["value"]
        assert alone["accuracy"]["expected"] >= alone["accuracy"]["value"]


class TestIntervals:
    def test_out_of_fold_is_the_measured_formula(self) -> None:
        low, high = intervals.out_of_fold(0.8, 25, trained=1.0)
        middle = (20 + 2) / 29
        half = 1.96 * (middle * (1 - middle) * (1 / 29 + intervals.overdispersion(25))) ** 0.5
        assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-4)

    def test_an_interval_narrows_as_examples_grow(self) -> None:
        low, high = intervals.out_of_fold(0.827, 20_000, trained=0.8, per_class=2000)
        assert high - low < 0.055
        widths = [
            high - low
            for low, high in (intervals.out_of_fold(0.8, n, trained=0.8) for n in (20, 200, 2000))
        ]
        assert widths == sorted(widths, reverse=True)

    def test_few_of_a_class_learn_faster(self) -> None:
        assert intervals.grown(0.5, 0.5, 2) == pytest.approx(1 / (1 + 0.5 ** (2 * 0.35)))
        assert intervals.grown(0.5, 0.5, 2) > intervals.grown(0.5, 0.5, 200)
        assert intervals.grown(0.0, 0.5, 2) == 0.0
        assert intervals.grown(1.0, 0.5, 2) == 1.0
        assert intervals.grown(0.7, 1.0, 2) == pytest.approx(0.7)

    def test_texts_gain_less_as_their_classes_are_known_by_name(self) -> None:
        texts, pictures = intervals.GROWTH["text"], intervals.GROWTH["image"]
        assert 0.5 < intervals.grown(0.5, 0.5, 2, texts) < intervals.grown(0.5, 0.5, 2, pictures)
        said = [
            evaluation.evaluate(
                torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]]),
                torch.tensor([0, 1, 0, 1]),
                ["a", "b"],
                how="k-fold",
                folds=2,
                growth=growth,
            )["accuracy"]
            for growth in (texts, pictures)
        ]
        assert said[0]["value"] == said[1]["value"] == 0.75
        assert 0.75 < said[0]["expected"] < said[1]["expected"]

    @pytest.mark.parametrize("how", ["k-fold", "hold-out"])
    def test_few_judgements_without_an_error_promise_none(self, how: evaluation.How) -> None:
        """Of fits to 16 to 60 texts that had none, fresh ones were right in 89 to 98%."""
        said = []
        for count in (10, 200):
            true = torch.arange(count) % 2
            rows = torch.nn.functional.one_hot(true, 2) * 0.8 + 0.1
            folds = 5 if how == "k-fold" else None
            found = evaluation.evaluate(rows, true, ["a", "b"], how=how, folds=folds)
            assert found["accuracy"]["value"] == found["balanced_accuracy"]["value"] == 1
            assert found["accuracy"]["expected"] == found["balanced_accuracy"]["expected"]
            said.append(found["accuracy"]["expected"])
        assert 0.94 < said[0] < 0.98 < said[1] < 1

    def test_fewer_folds_expect_more_of_the_final_fit(self) -> None:
        two, five = (intervals.out_of_fold(0.6, 20, trained=share) for share in (0.5, 0.8))
        assert two[0] > five[0]

    @given(st.floats(0, 1), st.integers(1, 10**6), st.floats(0.5, 1))
    def test_shares_stay_shares(self, share: float, n: int, trained: float) -> None:
        low, high = intervals.out_of_fold(share, n, trained=trained)
        assert 0 <= low <= share <= high <= 1

    @pytest.mark.parametrize(("classes", "each"), [(300, 2), (100, 2), (40, 2), (100, 5)])
    def test_nothing_learned_is_not_told_better_than_chance(self, classes: int, each: int) -> None:
        trained = (each - 1) / each
        low, high = intervals.out_of_fold(1 / classes, classes * each, trained=trained)
        assert low <= 1 / classes <= high < 0.15

    @pytest.mark.parametrize(("freedom", "exact"), [(3, 3.1824), (5, 2.5706), (30, 2.0423)])
    def test_students_t(self, freedom: int, exact: float) -> None:
        assert intervals.student_t(freedom) == pytest.approx(exact, rel=0.02)

    def test_equal_losses_have_no_spread(self) -> None:
        assert intervals.mean_interval(torch.full((5,), 2.0)) == (2.0, 2.0)


@pytest.mark.parametrize("classes", [200, 201, 3000])
def test_many_classes_make_no_large_evaluation(classes: int) -> None:
    """Figures are all there; the matrix, the square of them, is for as many as anybody reads."""
    labels = torch.arange(classes).repeat(2)
    said = labels.clone()
    said[: classes // 10] = 0
    probabilities = torch.full((len(labels), classes), 0.1 / classes)
    probabilities[torch.arange(len(labels)), said] += 0.9
    found = evaluation.evaluate(
        probabilities, labels, [f"c{c}" for c in range(classes)], how="hold-out"
    )
    right = float((said == labels).double().mean())
    assert found["accuracy"]["value"] == pytest.approx(right)
    assert [one["support"] for one in found["per_class"]] == [2] * classes
    assert (found["confusion_matrix"] is None) == (classes > 200)
    assert len(json.dumps(found)) < 600 * classes + 200_000


def test_copies_of_examples_tell_no_more_than_the_examples() -> None:
    labels = torch.arange(20) % 2
    probs = torch.nn.functional.one_hot((torch.arange(20) % 3 == 0).long(), 2).float()
    fields: dict[str, Any] = {"how": "k-fold", "folds": 5}
    once = evaluation.evaluate(probs, labels, "ab", **fields)
    twice = evaluation.evaluate(probs.repeat(2, 1), labels.repeat(2), "ab", **fields, apart=0.5)
    assert twice["accuracy"] == pytest.approx(once["accuracy"])
