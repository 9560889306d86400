"""Heads against the rest: they learn, say what they cannot know, and never fail for too little."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

from app.core.errors import HeadstartError
from tests.unit.worker.ml.multi_label.marked import drawn, marked
from tests.unit.worker.ml.tasks import LAYOUT, task
from worker.ml import fit
from worker.ml.artifact import Fit, HeadConfig
from worker.ml.heads import scoring, scoring_numpy
from worker.ml.tasks import Support

pytestmark = pytest.mark.slow

METHODS = ("auto", "ridge", "logistic")


def fitted(support: Support, method: str = "auto", **given: Any) -> Fit:
    return fit.fit(task(support, method, **given))


def right(made: Fit, other: Support) -> float:
    """The share of marks that the head's thresholds say rightly."""
    p = scoring.probabilities(made.head, other.features, layout=LAYOUT)
    said = p >= torch.tensor(made.head.config.thresholds)
    assert other.marks is not None
    return float((said == other.marks).double().mean())


@pytest.mark.parametrize("method", METHODS)
def test_labels_are_learned(method: str) -> None:
    made = fitted(marked(drawn(48)), method)
    assert right(made, marked(drawn(60, seed=9), seed=3)) > 0.9
    assert made.evaluation["mean_average_precision"]["value"] > 0.9
    json.dumps([made.evaluation, made.advice, made.hyperparameters], allow_nan=False)


def test_the_order_of_upload_changes_nothing() -> None:
    support = marked(drawn(30))
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    first, second = fitted(support), fitted(support.take(order))
    assert first.evaluation == second.evaluation
    torch.testing.assert_close(first.head.tensors["weight"], second.head.tensors["weight"])


def test_what_cannot_be_judged_is_said() -> None:
    marks = drawn(24, 5)
    marks[:, 0] = True
    marks[:, 1] = torch.arange(24) == 0
    made = fitted(marked(marks))
    always, once, *others = made.evaluation["per_class"]
    assert always["reason"].startswith("not estimable: every example has it")
    assert once["reason"].startswith("not estimable: 1 example")
    assert once["average_precision"]["value"] is None
    assert all(one["average_precision"]["value"] is not None for one in others)
    new = scoring.probabilities(made.head, marked(marks, seed=4).features, layout=LAYOUT)
    assert bool((new[:, 0] > 0.9).all())
    assert bool((new[1:, 1] < 0.5).all())


@pytest.mark.parametrize(
    "marks", [[[1, 0], [0, 1]], [[1, 1], [0, 0]], [[1], [0]], [[1, 0], [1, 1]]]
)
def test_one_example_of_each_is_enough_to_answer(marks: list[list[int]]) -> None:
    made = fitted(marked(torch.tensor(marks).bool()))
    assert made.evaluation["estimable"] is False
    p = scoring.probabilities(made.head, marked(torch.tensor(marks).bool()).features, layout=LAYOUT)
    assert bool(p.isfinite().all())


@pytest.mark.parametrize("marks", [torch.ones(6, 2), torch.zeros(6, 2)])
def test_without_anything_to_tell_apart_it_is_refused(marks: torch.Tensor) -> None:
    with pytest.raises(HeadstartError) as caught:
        fitted(marked(marks.bool()))
    assert caught.value.code == "insufficient_classes"


def test_held_out_examples_judge_where_there_are_some() -> None:
    made = fitted(marked(drawn(40)), validation=marked(drawn(30, seed=8), seed=8))
    assert made.evaluation["how"]["method"] == "hold-out"
    assert made.evaluation["out_of_fold"]["how"]["method"] == "k-fold"


def test_many_examples_are_fitted_on_landmarks() -> None:
    made = fitted(marked(drawn(2300, 3), noise=1.0))
    assert right(made, marked(drawn(200, 3, seed=5), seed=5, noise=1.0)) > 0.85


def test_a_stored_head_answers_the_same_in_numpy() -> None:
    made = fitted(marked(drawn(30)))
    config = HeadConfig.from_json(json.loads(json.dumps(made.head.config.as_json())))
    assert config.thresholds == made.head.config.thresholds
    head = scoring.load(made.head)
    laid = scoring_numpy.stacked(head)
    assert laid is not None
    rows = marked(drawn(7, seed=2), seed=2).features["squish"].float()
    slow = scoring.predict({"squish": rows}, [head] * 7, layout=LAYOUT)
    fast = scoring_numpy.predict(rows.numpy(), [laid] * 7, layout=LAYOUT)
    for one, other in zip(slow, fast, strict=True):
        torch.testing.assert_close(
            one.probabilities, torch.from_numpy(other.probabilities), atol=1e-4, rtol=1e-3
        )
        assert one.familiarity == pytest.approx(other.familiarity, abs=1e-3)


def test_neighbours_have_all_their_labels() -> None:
    support = marked(drawn(20))
    head = scoring.load(fitted(support).head)
    rows = {"squish": support.features["squish"][:1].float()}
    (near,) = scoring.nearest(rows, [head], layout=LAYOUT, count=3)
    assert support.marks is not None
    for one in near:
        own = support.marks[list(support.ids).index(one.id)]
        expected = [name for name, has in zip(support.classes, own.tolist(), strict=True) if has]
        assert one.labels == tuple(expected)


@pytest.mark.parametrize("validated", [False, True])
def test_answers_are_those_that_the_evaluation_counts(validated: bool) -> None:
    support, other = marked(drawn(40), noise=2.0), marked(drawn(30, seed=9), seed=3, noise=2.0)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    made = fitted(support.take(order), validation=other if validated else None)
    assert made.answers is not None
    judged, rows = other if validated else support, list(made.answers.rows())
    truth = dict(zip(judged.ids, _named(judged), strict=True))
    assert {row["example_id"]: row["expected_labels"] for row in rows} == truth
    right = sum(set(row["labels"]) == set(row["expected_labels"]) for row in rows) / len(rows)
    assert made.evaluation["exact_match"]["value"] == pytest.approx(right)
    assert right < 1
    for row in rows:
        assert row["expected"] == ", ".join(row["expected_labels"])
        p = {one["label"]: one["probability"] for one in row["predictions"]}
        own = [p[name] if name in row["expected_labels"] else 1 - p[name] for name in p]
        assert row["expected_probability"] == pytest.approx(math.prod(own), abs=1e-4)
        assert row["label"] == max(p, key=lambda name: p[name])


def _named(support: Support) -> list[list[str]]:
    assert support.marks is not None
    return [[support.classes[c] for c in row.nonzero()[:, 0].tolist()] for row in support.marks]
