"""The whole fit: its laws, every method, and what it says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from app.core.errors import HeadstartError
from tests.unit.worker.ml.tasks import LAYOUT, VIEWS, clouds, task
from worker.ml import fit, folds
from worker.ml.artifact import Fit, HeadArtifact
from worker.ml.assess.answers import HeldOutAnswers, MarkedAnswers
from worker.ml.heads import scoring
from worker.ml.methods import auto
from worker.ml.tasks import Support

pytestmark = pytest.mark.slow

FROZEN = ("auto", "logistic", "ridge", "lda", "prototypical", "matching", "reptile")
NEW = clouds([4, 4, 4], seed=50)


def probabilities(head: HeadArtifact, support: Support = NEW) -> Tensor:
    return scoring.probabilities(head, support.features, layout=LAYOUT)


def assert_same(first: Fit, second: Fit, order: Sequence[int] = (0, 1, 2)) -> None:
    found, expected = probabilities(second.head), probabilities(first.head)
    torch.testing.assert_close(found[:, list(order)], expected, atol=5e-3, rtol=0)
    # fp16 weights
    assert first.evaluation["accuracy"] == second.evaluation["accuracy"]


@pytest.mark.parametrize("method", FROZEN)
@settings(max_examples=4, deadline=None)
@given(st.permutations(range(12)))
def test_permuting_the_examples_changes_nothing(method: str, order: list[int]) -> None:
    support = clouds([4, 5, 3])
    first = fit.fit(task(support, method))
    assert_same(first, fit.fit(task(support.take(torch.tensor(order)), method)))


@pytest.mark.parametrize("method", FROZEN)
@settings(max_examples=3, deadline=None)
@given(st.permutations(range(3)))
def test_renaming_the_labels_changes_nothing(method: str, order: list[int]) -> None:
    support = clouds([4, 5, 3])
    number = torch.tensor(order)
    classes = [support.classes[order.index(c)] for c in range(3)]
    renamed = replace(support, labels=number[support.labels], classes=classes)
    assert_same(fit.fit(task(support, method)), fit.fit(task(renamed, method)), order)


@pytest.mark.parametrize("method", FROZEN)
def test_duplicating_every_example_changes_nothing(method: str) -> None:
    support = clouds([4, 5, 3])
    twice = support.take(torch.arange(12).repeat_interleave(2))
    assert_same(fit.fit(task(support, method)), fit.fit(task(twice, method)))


@pytest.mark.parametrize("method", [*FROZEN, "linear"])
def test_every_method_learns_what_is_easy(method: str) -> None:
    support, new = clouds([6, 6, 6], noise=0.3), clouds([6, 6, 6], noise=0.3, seed=51)
    options = {"learning_rate": 0.05, "epochs": 60} if method == "linear" else {}
    found = fit.fit(task(support, method, **options))
    hits = probabilities(found.head, new).argmax(1) == new.labels
    assert float(hits.float().mean()) > 0.85
    json.dumps([found.head.config.as_json(), found.evaluation, found.hyperparameters, found.advice])


@pytest.mark.parametrize("method", [*FROZEN, "linear"])
@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_a_class_are_enough_to_fit(method: str, count: int) -> None:
    found = fit.fit(task(clouds([count] * 4), method))
    assert found.evaluation["estimable"] is (count == 2 and method != "linear") or count == 2
    assert probabilities(found.head).shape == (12, 4)


@pytest.mark.parametrize("method", FROZEN)
def test_the_same_seed_gives_the_same_head(method: str) -> None:
    support = clouds([5, 5, 5], views=VIEWS)
    first, second = (fit.fit(task(support, method, seed=3)) for _ in range(2))
    for name, value in first.head.tensors.items():
        assert torch.equal(value, second.head.tensors[name])


def test_a_cold_job_has_one_view_and_a_warm_one_learns_from_all() -> None:
    support = clouds([5, 5, 5], views=VIEWS)
    warm = fit.fit(task(support))
    cold = fit.fit(task(replace(support, features={"squish": support.features["squish"]})))
    assert cold.hyperparameters["spaces"][0]["views"] == ["squish"]
    learned = {view for s in warm.hyperparameters["spaces"] for view in s["views"]}
    assert {"squish", "mirror", "large", "pad"} <= learned
    assert warm.head.config.views == ("squish",)


def test_all_views_at_prediction_time_where_asked_for() -> None:
    support = clouds([5, 5, 5], views=VIEWS)
    found = fit.fit(task(support, prediction_views="all"))
    views = found.head.config.views
    assert views[0] == "squish"
    assert {"mirror", "large", "pad"} <= set(views)
    new = clouds([3, 3, 3], seed=52, views=VIEWS)
    assert probabilities(found.head, new).shape == (9, 3)


def test_only_the_views_asked_for_are_used() -> None:
    support = clouds([5, 5, 5], views=VIEWS)
    found = fit.fit(task(support, views=["mirror"]))
    learned = {view for s in found.hyperparameters["spaces"] for view in s["views"]}
    assert learned == {"squish", "mirror"}


def test_many_examples_take_the_other_road() -> None:
    support = clouds([110, 110, 110], views=("squish", "mirror"))
    found = fit.fit(task(support))
    accuracy = found.evaluation["accuracy"]["value"]
    new = clouds([50, 50, 50], seed=53)
    hits = (probabilities(found.head, new).argmax(1) == new.labels).float().mean()
    assert abs(float(hits) - accuracy) < 0.15


def of_texts(support: Support) -> Support:
    texts = [f"text {row}" for row in range(len(support))]
    return replace(support, features={"text": support.features["squish"]}, texts=texts)


@pytest.mark.parametrize("method", [*FROZEN[1:], "linear"])
@pytest.mark.parametrize("count", [6, 30])
def test_every_method_reads_texts_few_and_many(
    monkeypatch: pytest.MonkeyPatch, method: str, count: int
) -> None:
    monkeypatch.setattr(folds, "MOST_DUAL", 60)
    support = of_texts(clouds([count] * 3, noise=0.3))
    new = of_texts(clouds([6, 6, 6], noise=0.3, seed=51))
    options = {"learning_rate": 0.05, "epochs": 60} if method == "linear" else {}
    found = fit.fit(task(support, method, validation=new, **options))
    hits = probabilities(found.head, new).argmax(1) == new.labels
    assert float(hits.float().mean()) > 0.85
    assert found.evaluation["accuracy"]["value"] == pytest.approx(float(hits.float().mean()))
    assert found.head.config.views == ("text",)


def test_matching_keeps_no_more_than_the_landmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folds, "MOST_DUAL", 60)
    found = fit.fit(task(clouds([70, 70, 20]), "matching"))
    assert found.head.tensors["support_labels"].bincount().tolist() == [20, 20, 20]


@pytest.mark.parametrize("method", FROZEN)
def test_very_many_examples_are_spanned_by_some(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(folds, "MOST_DUAL", 60)
    monkeypatch.setattr(auto, "MOST_CHOOSING", 45)
    found = fit.fit(task(clouds([70, 70, 20], views=("squish", "mirror")), method))
    accuracy = found.evaluation["accuracy"]["value"]
    new = clouds([50, 50, 50], seed=53)
    hits = (probabilities(found.head, new).argmax(1) == new.labels).float().mean()
    assert abs(float(hits) - accuracy) < 0.15
    assert found.evaluation["how"]["num_examples"] == 160
    assert found.advice["learning_curve"]["points"]


@pytest.mark.parametrize("most", [6, 20])
def test_spaces_are_chosen_on_some_of_very_many_classes(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(auto, "MOST_CHOOSING", most)
    found = fit.fit(task(clouds([5] * 8, views=("squish", "mirror")), "auto"))
    new = clouds([20] * 8, seed=53)
    hits = (probabilities(found.head, new).argmax(1) == new.labels).float().mean()
    assert float(hits) > 0.9
    assert found.head.tensors["bias"].shape == (8,)


def test_a_validation_set_judges_instead_of_the_folds() -> None:
    found = fit.fit(task(clouds([5, 5, 5]), validation=clouds([7, 7, 7], seed=54)))
    assert found.evaluation["how"]["method"] == "hold-out"
    assert found.evaluation["how"]["num_examples"] == 21


def test_training_frequencies_are_put_back_where_balance_is_off() -> None:
    support = clouds([30, 3, 3], noise=1.5)
    equal, raw = (fit.fit(task(support, class_balance=b)) for b in ("auto", "none"))
    new = clouds([20, 20, 20], noise=1.5, seed=55)
    shares = [float(probabilities(found.head, new)[:, 0].mean()) for found in (equal, raw)]
    assert shares[1] > shares[0]
    assert raw.evaluation["class_balance"]["logit_adjustment"] == "training frequencies"
    assert equal.evaluation["class_balance"]["imbalance"] == 10


def test_reptile_learns_from_other_sets() -> None:
    others = [clouds([6, 6, 6], seed=seed) for seed in range(60, 63)]
    found = fit.fit(task(clouds([2, 2, 2]), "reptile", others=others))
    assert found.hyperparameters["other_datasets"] == 3
    assert found.hyperparameters["meta_iterations"] == 100


@pytest.mark.parametrize("method", [*FROZEN, "linear"])
def test_where_each_class_is_one_group_nothing_is_estimated(method: str) -> None:
    support = clouds([8, 8, 8])
    found = fit.fit(task(replace(support, groups=support.labels), method))
    assert not found.evaluation["estimable"]
    assert found.evaluation["accuracy"]["value"] is None
    assert found.advice["probably_mislabelled"] == found.advice["confused"] == []


@pytest.mark.parametrize("method", [*FROZEN, "linear"])
def test_a_class_in_one_group_is_trained_on_and_judges_nothing(method: str) -> None:
    support = clouds([10, 10, 10], noise=0.3)
    groups = torch.where(support.labels == 2, 100, support.groups)
    options = {"learning_rate": 0.05, "epochs": 60} if method == "linear" else {}
    found = fit.fit(task(replace(support, groups=groups), method, **options))
    supports = {row["label"]: row["support"] for row in found.evaluation["per_class"]}
    assert supports["class 2"] == 0
    assert found.evaluation["accuracy"]["value"] > 0.9
    assert found.advice["probably_mislabelled"] == found.advice["confused"] == []
    new = clouds([9, 9, 9], noise=0.3, seed=51)
    hits = probabilities(found.head, new).argmax(1) == new.labels
    assert float(hits[new.labels == 2].float().mean()) > 0.8


def test_the_textbook_recipe_says_that_its_loss_is_plain() -> None:
    found = fit.fit(task(clouds([12, 4, 4]), "linear"))
    assert found.evaluation["class_balance"]["loss"] == "plain"
    assert found.evaluation["class_balance"]["logit_adjustment"] == "training frequencies"
    assert found.hyperparameters["class_balance"] == "none"


def test_the_textbook_recipes_own_hold_out_is_no_other_split() -> None:
    assert fit.fit(task(clouds([10, 10]), "linear")).advice["near_duplicates"] == []


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_classes_are_judged_in_the_callers_order(seed: int) -> None:
    support = clouds([4, 9, 6], noise=0.3)
    found = fit.fit(task(support, seed=seed)).evaluation
    assert [row["label"] for row in found["per_class"]] == list(support.classes)
    assert [row["support"] for row in found["per_class"]] == [4, 9, 6]
    assert found["confusion_matrix"]["counts"][1][1] == 9


def test_one_class_is_refused() -> None:
    with pytest.raises(HeadstartError) as caught:
        fit.fit(task(clouds([5])))
    assert caught.value.code == "insufficient_classes"


def test_a_small_head_is_small() -> None:
    from app.core.backbones import EFFICIENTNET

    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(25, EFFICIENTNET.layout[-1].stop, generator=generator).half()
    support = Support(
        features={"squish": rows},
        labels=torch.arange(25) % 5,
        groups=torch.arange(25),
        ids=[str(row) for row in range(25)],
        classes=list("abcde"),
    )
    found = fit.fit(replace(task(support), layout=EFFICIENTNET.layout))
    assert found.head.nbytes < 200_000


@pytest.mark.parametrize("method", FROZEN)
@pytest.mark.parametrize("balance", ["auto", "none"])
def test_the_curve_ends_at_the_stated_accuracy_and_forecasts_no_less(
    method: str, balance: str
) -> None:
    found = fit.fit(task(clouds([6, 9, 4], noise=1.5), method, class_balance=balance))
    stated, curve = found.evaluation["accuracy"]["value"], found.advice["learning_curve"]
    assert curve["points"][-1]["accuracy"] == pytest.approx(stated)
    assert all(point["accuracy"] >= stated - 1e-9 for point in curve["forecast"])


def with_copies(support: Support, times: int = 3) -> Support:
    """Each example with further ones that are far from it, in its group."""
    n, rows = len(support), torch.arange(len(support)).repeat(times)
    generator = torch.Generator().manual_seed(7)
    copies = support.take(rows)
    features = {
        view: (copies.features[view] + torch.randn(copies.features[view].shape, generator=generator)
               * (torch.arange(n * times) >= n)[:, None]).abs().half()
        for view in copies.features
    }  # fmt: skip
    ids = [f"{name}.{at // n}" for at, name in enumerate(copies.ids)]
    return replace(copies, features=features, ids=ids, augmented=torch.arange(n * times) >= n)


@pytest.mark.parametrize("method", [*FROZEN, "linear"])
def test_augmented_copies_train_and_are_not_judged(method: str) -> None:
    support = with_copies(clouds([6, 5, 7]))
    made = fit.fit(task(support, method))
    how, evaluation = made.evaluation["how"], made.evaluation
    assert how["augmented_copies"] == 36
    assert how["num_examples"] + how["left_out"] == (4 if method == "linear" else 18)
    assert evaluation["class_balance"]["counts"] == {"class 0": 6, "class 1": 5, "class 2": 7}
    assert isinstance(made.answers, HeldOutAnswers)
    assert all(name.endswith(".0") for name in made.answers.ids)
    assert all(name.endswith(".0") for name in made.head.config.exemplar_ids)
    curve = made.advice["learning_curve"]
    if method != "linear":
        assert curve["points"][-1]["per_class"] <= 6


@pytest.mark.parametrize("method", [*FROZEN, "linear"])
def test_without_copies_nothing_is_said_otherwise(method: str) -> None:
    support = clouds([6, 5, 7])
    none = replace(support, augmented=torch.zeros(18, dtype=torch.bool))
    first, second = (fit.fit(task(one, method)) for one in (support, none))
    assert first.evaluation == second.evaluation
    assert first.advice == second.advice
    assert first.head.config == second.head.config


@pytest.mark.parametrize("method", ["auto", "ridge"])
def test_augmented_copies_of_several_labels_are_not_judged(method: str) -> None:
    support = with_copies(clouds([6, 5, 7]))
    marks = torch.nn.functional.one_hot(support.labels, 3).bool()
    marks[::3, 1] = True
    made = fit.fit(task(replace(support, marks=marks), method))
    assert made.evaluation["how"]["num_examples"] == 18
    assert made.evaluation["how"]["augmented_copies"] == 36
    assert sum(made.evaluation["class_balance"]["counts"].values()) == int(marks[:18].sum())
    assert isinstance(made.answers, MarkedAnswers)
    assert all(name.endswith(".0") for name in made.answers.ids)
