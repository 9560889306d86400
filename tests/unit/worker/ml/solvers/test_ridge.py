"""Ridge against scikit-learn, its dual against its primal, and leaving out against doing so."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from tests.unit.worker.ml.tasks import problem
from worker.ml.solvers import moments, ridge
from worker.ml.solvers.problem import SolverProblem
from worker.ml.solvers.ridge import Dual

L2 = torch.tensor([0.05, 2.0], dtype=torch.double)


def dual(given: SolverProblem, weights: Tensor) -> Dual:
    x = given.x[0]
    return ridge.dual(x @ x.T, given.targets, weights, l2=L2)


def without(given: SolverProblem, weights: Tensor, kept: Tensor) -> SolverProblem:
    return SolverProblem(
        x=given.x[:1],
        labels=given.labels,
        classes=given.classes,
        weights=(weights * kept).expand(len(L2), -1),
    )


def test_moments_give_what_rows_give_with_and_without_each_fold() -> None:
    given, part = problem(), torch.arange(24) % 3
    weights = given.weights[:1]
    one = SolverProblem(x=given.x[:1], labels=given.labels, classes=given.classes, weights=weights)
    found = ridge.from_moments(moments.with_folds(one, fold=part, count=3), L2).logits(given.x[:1])
    kept = torch.stack([torch.ones(24), *(part != number for number in range(3))])
    each = replace(one, weights=(weights * kept).repeat(2, 1))
    expected = ridge.fit(each, L2.repeat_interleave(4)).logits(given.x[:1])
    torch.testing.assert_close(found, expected)


def test_the_short_way_is_the_dual() -> None:
    given = problem()
    gram = given.x[0] @ given.x[0].T
    alpha, bias = ridge.by_rows(gram, given.targets, l2=0.05)
    whole = ridge.dual(gram, given.targets, torch.ones(24, dtype=torch.double), l2=L2)
    torch.testing.assert_close(alpha, whole.alpha[0])
    torch.testing.assert_close(bias, whole.bias[0])


def test_it_finds_what_scikit_learn_finds() -> None:
    given = problem()
    found = ridge.fit(given, L2).logits(given.x)
    for space in range(2):
        for fit in range(2):
            theirs = Ridge(alpha=float(L2[fit]))
            theirs.fit(given.x[space], given.targets, sample_weight=given.weights[fit])
            expected = torch.from_numpy(theirs.predict(given.x[space].numpy()))
            torch.testing.assert_close(found[space, fit], expected)


def test_the_dual_is_the_primal() -> None:
    given = problem(n=12, width=30)
    weights = given.weights[0]
    found = dual(given, weights)
    primal = ridge.fit(without(given, weights, torch.ones(12)), L2)
    torch.testing.assert_close(given.x[0].T @ found.alpha, primal.weight[0])
    torch.testing.assert_close(found.bias, primal.bias[0])


@pytest.mark.parametrize("parts", [5, 24])
def test_unseen_is_what_a_fit_without_the_part_says(parts: int) -> None:
    given = problem()
    weights, part = given.weights[0], torch.arange(24) % parts
    unseen = dual(given, weights).unseen(given.targets, part)
    for number in range(parts):
        own = part == number
        really = ridge.fit(without(given, weights, (~own).double()), L2).logits(given.x[:1])
        torch.testing.assert_close(unseen[:, own], really[0][:, own])


def test_unseen_by_other_inputs() -> None:
    given = problem()
    weights, part = given.weights[0], torch.arange(24) % 4
    other = given.x[1]
    unseen = dual(given, weights).unseen_by(other @ given.x[0].T, part, part)
    for number in range(4):
        own = part == number
        really = ridge.fit(without(given, weights, (~own).double()), L2).logits(other[None])
        torch.testing.assert_close(unseen[:, own], really[0][:, own])
