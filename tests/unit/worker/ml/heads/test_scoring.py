"""Many heads at once, each row its own; what a stored head must be."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from app.core.errors import HeadstartError
from tests.unit.worker.ml.tasks import LAYOUT, VIEWS, clouds, task
from worker.ml import fit
from worker.ml.artifact import HeadArtifact
from worker.ml.heads import scoring

METHODS = ("auto", "prototypical", "matching", "logistic")


def heads() -> list[scoring.LiveHead]:
    supports = [clouds([3, 4]), clouds([4, 4, 4]), clouds([5, 3, 2]), clouds([2, 2])]
    return [
        scoring.load(fit.fit(task(support, method)).head)
        for support, method in zip(supports, METHODS, strict=True)
    ]


def test_each_row_meets_its_own_head() -> None:
    live, rows = heads(), clouds([6, 6], seed=50)
    chosen = [live[row % 4] for row in range(12)]
    together = scoring.predict(rows.features, chosen, layout=LAYOUT)
    for row, head in enumerate(chosen):
        alone = scoring.predict(rows.take(torch.tensor([row])).features, [head], layout=LAYOUT)[0]
        assert alone.classes == together[row].classes
        torch.testing.assert_close(alone.probabilities, together[row].probabilities)
        assert alone.familiarity == pytest.approx(together[row].familiarity, abs=1e-3)


def test_probabilities_sum_to_one_and_the_label_is_the_likeliest() -> None:
    for found in scoring.predict(clouds([2, 2]).features, heads(), layout=LAYOUT):
        assert float(found.probabilities.sum()) == pytest.approx(1, abs=1e-5)
        assert found.label == found.classes[int(found.probabilities.argmax())]


def test_a_strange_input_is_unknown_and_a_training_example_is_not() -> None:
    support = clouds([20, 20, 20], noise=0.3)
    head = scoring.load(fit.fit(task(support)).head)
    known = scoring.predict(support.features, [head] * 60, layout=LAYOUT)
    strange = torch.rand(10, support.features["squish"].shape[1]) * 9
    odd = scoring.predict({"squish": strange}, [head] * 10, layout=LAYOUT)
    assert sum(p.unknown for p in known) <= 6
    assert all(p.unknown for p in odd)
    assert all(0 <= p.familiarity <= 1 for p in known + odd)


def test_the_false_alarm_rate_is_the_threshold_of_familiarity() -> None:
    support = clouds([12, 12], noise=1.0)
    strict, lax = (
        scoring.load(fit.fit(task(support, unknown_false_alarm_rate=rate)).head)
        for rate in (0.3, 0.01)
    )
    new = clouds([40, 40], noise=1.0, seed=9).features
    flagged = [
        sum(p.unknown for p in scoring.predict(new, [head] * 80, layout=LAYOUT))
        for head in (strict, lax)
    ]
    assert flagged[0] > flagged[1]


def test_one_pass_is_enough_unless_all_views_are_asked_for() -> None:
    support = clouds([4, 4], views=VIEWS)
    one = scoring.load(fit.fit(task(support)).head)
    every = scoring.load(fit.fit(task(support, prediction_views="all")).head)
    assert one.config.views == ("squish",)
    assert len(every.config.views) > 3
    found = scoring.predict(clouds([1, 1], views=VIEWS).features, [one, every], layout=LAYOUT)
    assert len(found) == 2


def test_a_head_of_the_wrong_shape_or_not_finite_is_refused() -> None:
    good = fit.fit(task(clouds([3, 3]))).head
    cut = HeadArtifact({**good.tensors, "bias": good.tensors["bias"][:1]}, good.config)
    wide = HeadArtifact({**good.tensors, "weight": good.tensors["weight"][:, :1]}, good.config)
    broken = HeadArtifact({**good.tensors, "bias": good.tensors["bias"] / 0}, good.config)
    for bad in (cut, wide, broken):
        with pytest.raises(HeadstartError) as caught:
            scoring.load(bad)
        assert caught.value.code == "model_corrupt"


def test_a_head_whose_statistics_are_missing_is_refused() -> None:
    good = fit.fit(task(clouds([3, 3]))).head
    config = replace(good.config, statistics="made-up.0123456789ab")
    head = scoring.load(HeadArtifact(good.tensors, config))
    with pytest.raises(HeadstartError) as caught:
        scoring.predict(clouds([1, 1]).features, [head] * 2, layout=LAYOUT)
    assert caught.value.code == "model_corrupt"
