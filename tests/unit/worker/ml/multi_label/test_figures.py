"""Figures of several labels agree with scikit-learn's; thresholds and folds keep their laws."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score

from tests.unit.worker.ml.multi_label.marked import drawn
from worker.ml.multi_label import figures, platt, thresholds
from worker.ml.multi_label.figures import Answers
from worker.ml.multi_label.folds import MarkedFolds


def answers(n: int, seed: int = 0) -> Answers:
    generator = torch.Generator().manual_seed(seed)
    marks = drawn(n, 3, seed=seed)
    scores = (torch.rand(n, 3, generator=generator) + 0.5 * marks).mul(8).round() / 12
    return Answers(
        scores=scores,
        probabilities=scores,
        said=scores >= 0.5,
        marks=marks,
        judged=torch.ones_like(marks),
        groups=torch.arange(n),
        trained=None,
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 500), st.integers(12, 60))
def test_they_are_those_of_sklearn(seed: int, n: int) -> None:
    given_ = answers(n, seed)
    if not bool(given_.rankable.all()):
        return
    made = figures.figures(given_)
    y, s = given_.marks.numpy(), given_.scores.numpy()
    expected = [average_precision_score(y[:, c], s[:, c]) for c in range(3)]
    assert [one["value"] for one in made.average_precision] == pytest.approx(expected)
    assert made.mean_average_precision["value"] == pytest.approx(sum(expected) / 3)
    said = given_.said.numpy()
    assert made.micro_f1["value"] == pytest.approx(f1_score(y, said, average="micro"))
    assert made.macro_f1["value"] == pytest.approx(f1_score(y, said, average="macro"))
    for one in (*made.average_precision, made.mean_average_precision, made.micro_f1):
        assert 0 <= one["low"] <= one["value"] <= one["high"] <= 1  # type: ignore[operator]


def test_groups_widen_an_interval() -> None:
    alone = answers(60)
    rows = torch.arange(60).repeat_interleave(3)
    fields = ("scores", "probabilities", "said", "marks", "judged")
    copied = Answers(**{f: getattr(alone, f)[rows] for f in fields}, groups=rows, trained=None)
    bare = Answers(
        **{f: getattr(alone, f)[rows] for f in fields}, groups=torch.arange(180), trained=None
    )
    wide, thin = (figures.figures(one).macro_f1 for one in (copied, bare))
    assert wide["high"] - wide["low"] > 1.3 * (thin["high"] - thin["low"])  # type: ignore[operator]


def test_a_perfect_ranking_is_not_certain() -> None:
    marks = drawn(30, 2)
    sure = marks.double()
    perfect = Answers(
        scores=sure,
        probabilities=sure,
        said=marks,
        marks=marks,
        judged=torch.ones_like(marks),
        groups=torch.arange(30),
        trained=0.8,
    )
    assert figures.figures(perfect).mean_average_precision["low"] < 1  # type: ignore[operator]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 40), st.integers(1, 5))
def test_groups_stay_together_and_classes_are_shared_out(seed: int, n: int, classes: int) -> None:
    marks = drawn(n, classes, seed=seed)
    groups = torch.randint(n, (n,), generator=torch.Generator().manual_seed(seed)) // 2
    folds = MarkedFolds.of_marks(marks, groups)
    for group in groups.unique():
        assert len(folds.fold[groups == group].unique()) == 1
    for row, c in folds.judged.nonzero().tolist():
        other = folds.fold != folds.fold[row]
        assert bool(marks[other, c].any())
        assert not bool(marks[other, c].all())


def test_a_class_is_as_often_in_each_fold() -> None:
    marks = drawn(200, 6, share=0.2, seed=3)
    folds = MarkedFolds.of_marks(marks, torch.arange(200))
    for c in range(6):
        per_fold = torch.bincount(folds.fold[marks[:, c]], minlength=folds.count)
        assert int(per_fold.max() - per_fold.min()) <= 3


def test_the_threshold_is_half_the_best_f1_of_sure_answers() -> None:
    p = torch.tensor([[1.0, 0.3], [1.0, 0.3], [0.0, 0.3], [0.0, 0.3]])
    assert thresholds.best(p).tolist() == pytest.approx([0.5, 0.6 / 1.3 / 2 * 1.0], abs=0.02)


def test_scores_become_the_probabilities_that_they_came_from() -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(4000, 3, generator=generator, dtype=torch.double)
    truth = (1.7 * z + torch.tensor([-1.0, 0.0, 1.5])).sigmoid()
    marks = torch.rand(4000, 3, generator=generator) < truth
    made = platt.fit(z, marks, torch.ones_like(marks))
    assert float((made.probabilities(z) - truth).abs().mean()) < 0.02
