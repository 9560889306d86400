"""Mirror images are learned from where they are as good examples, and only there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.unit.worker.ml.tasks import WIDTH, clouds, task
from worker.ml import fit
from worker.ml.artifact import Fit
from worker.ml.fitting import mirrors
from worker.ml.methods.setting import Setting
from worker.ml.tasks import Support

METHODS = ("auto", "logistic", "ridge", "lda", "prototypical", "matching", "reptile")


def pictures(counts: list[int], *, handed: bool, seed: int = 0) -> Support:
    """Clouds with mirror images: where they are `handed`, each looks like the next class."""
    support = clouds(counts, noise=0.8, views=("squish", "large"), seed=seed)
    squish, labels = support.features["squish"], support.labels
    generator = torch.Generator().manual_seed(seed)
    change = 0.2 * torch.randn(len(labels), WIDTH, generator=generator)
    if handed:
        means = torch.stack([squish[labels == c].float().mean(0) for c in range(len(counts))])
        change = change + (means.roll(-1, 0) - means)[labels]
    mirror = (squish.float() + change).abs().half()
    return replace(support, features={**support.features, "mirror": mirror})


def without(support: Support) -> Support:
    return support.seen_as({"squish", "large"})


def same(one: Fit, other: Fit) -> bool:
    ours, theirs = one.head.tensors, other.head.tensors
    return ours.keys() == theirs.keys() and all(
        torch.equal(ours[name], theirs[name]) for name in ours
    )


def setting(support: Support, **given: Any) -> Setting:
    return Setting.of(task(support, **given))


@pytest.mark.parametrize("method", METHODS)
def test_what_a_mirror_turns_into_another_class_is_not_learned_from(method: str) -> None:
    support = pictures([10, 10, 10], handed=True)
    made = fit.fit(task(support, method))
    assert same(made, fit.fit(task(without(support), method)))
    told = made.evaluation["mirror_images"]
    assert told["learned_from"] is False
    assert told["why"] == mirrors.WHY_NOT
    assert told["examples"] == 30
    assert told["log_loss"]["mirrored"] > told["log_loss"]["original"]
    assert told["log_loss"]["difference"]["low"] > 0


@pytest.mark.parametrize("method", METHODS)
def test_what_looks_alike_in_a_mirror_is_learned_from(method: str) -> None:
    support = pictures([10, 10, 10], handed=False)
    made = fit.fit(task(support, method))
    assert not same(made, fit.fit(task(without(support), method)))
    told = made.evaluation["mirror_images"]
    assert told["learned_from"] is True
    low, high = (told["log_loss"]["difference"][end] for end in ("low", "high"))
    assert low < told["log_loss"]["difference"]["value"] < high


@pytest.mark.parametrize("counts", [[1, 1, 1], [1, 1, 1, 1, 2]])
def test_where_nothing_tells_mirror_images_are_left_out(counts: list[int]) -> None:
    support = pictures(counts, handed=False)
    made = fit.fit(task(support))
    assert made.evaluation["mirror_images"] == {"learned_from": False, "why": mirrors.UNTOLD}
    assert same(made, fit.fit(task(without(support))))


def test_of_one_group_nothing_is_told() -> None:
    support = pictures([4, 4], handed=False)
    grouped = replace(support, groups=torch.zeros(8, dtype=torch.long))
    found = setting(grouped).mirror
    assert found is not None
    assert not found.told
    assert not found.passed


def test_examples_of_one_source_say_one_thing() -> None:
    support = pictures([8, 8], handed=True)
    alone = setting(support).mirror
    pairs = setting(replace(support, groups=torch.arange(16) // 4)).mirror
    assert alone is not None
    assert pairs is not None
    assert len(alone.original) == len(pairs.original) == 16
    assert pairs.error != pytest.approx(alone.error)


def test_views_that_were_asked_for_are_used() -> None:
    support = pictures([10, 10, 10], handed=True)
    made = fit.fit(task(support, views=["squish", "mirror"]))
    assert "mirror_images" not in made.evaluation
    learned = {view for one in made.hyperparameters["spaces"] for view in one["views"]}
    assert learned == {"squish", "mirror"}


def test_without_mirror_images_nothing_is_said() -> None:
    made = fit.fit(task(without(pictures([5, 5], handed=True))))
    assert "mirror_images" not in made.evaluation


def test_it_is_told_as_it_happens() -> None:
    heard: list[dict[str, Any]] = []
    asked = replace(task(pictures([10, 10], handed=True)), report=heard.append)
    fit.fit(asked)
    assert f"Nothing is learned from mirror images: {mirrors.WHY_NOT}" in [
        event["message"] for event in heard if event["type"] == "message"
    ]
    heard.clear()
    fit.fit(replace(asked, support=pictures([10, 10], handed=False)))
    assert not [event for event in heard if "mirror" in event.get("message", "")]


def test_what_is_tuned_on_goes_with_them() -> None:
    support = pictures([10, 10, 10], handed=True)
    maps = {f"map:{view}": support.features[view] for view in ("squish", "mirror")}
    kept = setting(replace(support, features={**support.features, **maps})).support.features
    assert set(kept) == {"squish", "large", "map:squish"}


@pytest.mark.parametrize("handed", [True, False])
def test_of_many_examples_a_part_is_judged(handed: bool) -> None:
    found = setting(pictures([200, 100, 90], handed=handed)).mirror
    assert found is not None
    assert len(found.original) == 290
    assert found.passed is not handed


def test_of_many_classes_some_are_judged() -> None:
    found = setting(pictures([3] * 200, handed=True)).mirror
    assert found is not None
    assert 0 < len(found.original) <= 2 * (mirrors.MOST // 2 + 1)
    assert not found.passed


@pytest.mark.parametrize("handed", [True, False])
@pytest.mark.parametrize("method", ["auto", "ridge"])
def test_so_it_is_of_several_labels(method: str, handed: bool) -> None:
    support = pictures([12, 12, 12], handed=handed)
    marks = torch.nn.functional.one_hot(support.labels, 3).bool()
    support = replace(support, marks=marks, labels=torch.zeros_like(support.labels))
    made = fit.fit(task(support, method))
    assert made.evaluation["mirror_images"]["learned_from"] is not handed
    assert same(made, fit.fit(task(without(support), method))) is handed


@pytest.mark.parametrize(
    ("per_class", "passed"), [(2.0, False), (4.0, True), (5.0, True), (50.0, True)]
)
def test_of_few_examples_a_small_doubt_is_enough(per_class: float, passed: bool) -> None:
    """One standard error of a difference."""
    found = mirrors.MirrorTest(
        original=torch.tensor([0.5]), mirrored=torch.tensor([0.6]), error=0.1, per_class=per_class
    )
    assert found.passed is passed


def test_predictions_of_every_view_do_without_the_mirror_too() -> None:
    """Averaged over a mirror, left and right would be one."""
    made = fit.fit(task(pictures([10, 10, 10], handed=True), prediction_views="all"))
    assert set(made.head.config.views) == {"squish", "large"}
