"""Ridge against scikit-learn, its dual against its primal, and leaving out against doing so."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from tests.unit.worker.ml.tasks import problem
from worker.ml.solvers import moments, ridge
from worker.ml.solvers.problem import Affine, SolverProblem
from worker.ml.solvers.ridge import Dual

L2 = torch.tensor([0.05, 2.0], dtype=torch.double)


def dual(given: SolverProblem, weights: Tensor) -> Dual:
    x = given.x[0]
    return ridge.dual(x @ x.T, given.targets, weights, l2=L2)


def primal(given: SolverProblem, weights: Tensor, space: int = 0) -> Affine:
    """Each λ of L2 by the moments of one space's rows [n, d] with weights [n]."""
    one = replace(given, x=given.x[space : space + 1], weights=weights[None])
    none = torch.zeros_like(given.labels)
    return ridge.from_moments(moments.with_folds(one, fold=none, count=0), L2)


def test_moments_without_a_fold_are_those_of_the_other_rows() -> None:
    given, part = problem(), torch.arange(24) % 3
    weights = given.weights[0]
    one = replace(given, x=given.x[:1], weights=weights[None])
    found = ridge.from_moments(moments.with_folds(one, fold=part, count=3), L2)
    for number in range(3):
        alone = primal(given, weights * (part != number))
        torch.testing.assert_close(found.weight[:, [1 + number, 5 + number]], alone.weight)
        torch.testing.assert_close(found.bias[:, [1 + number, 5 + number]], alone.bias)


def test_the_short_way_is_the_dual() -> None:
    given = problem()
    gram = given.x[0] @ given.x[0].T
    alpha, bias = ridge.by_rows(gram, given.targets, l2=0.05)
    whole = ridge.dual(gram, given.targets, torch.ones(24, dtype=torch.double), l2=L2)
    torch.testing.assert_close(alpha, whole.alpha[0])
    torch.testing.assert_close(bias, whole.bias[0])


@pytest.mark.parametrize("space", [0, 1])
@pytest.mark.parametrize("weighting", [0, 1])
def test_it_finds_what_scikit_learn_finds(space: int, weighting: int) -> None:
    given = problem()
    weights, x = given.weights[weighting], given.x[space]
    found = primal(given, weights, space).logits(x[None])[0]
    for place, l2 in enumerate(L2.tolist()):
        theirs = Ridge(alpha=l2).fit(x, given.targets, sample_weight=weights)
        torch.testing.assert_close(found[place], torch.from_numpy(theirs.predict(x.numpy())))


def test_the_dual_is_the_primal() -> None:
    given = problem(n=12, width=30)
    weights = given.weights[0]
    found = dual(given, weights)
    expected = primal(given, weights)
    torch.testing.assert_close(given.x[0].T @ found.alpha, expected.weight[0])
    torch.testing.assert_close(found.bias, expected.bias[0])


@pytest.mark.parametrize("parts", [5, 24])
def test_out_of_fold_is_what_a_fit_without_the_part_says(parts: int) -> None:
    given = problem()
    weights, part = given.weights[0], torch.arange(24) % parts
    scores = dual(given, weights).out_of_fold(given.targets, part)
    for number in range(parts):
        own = part == number
        really = primal(given, weights * ~own).logits(given.x[:1])
        torch.testing.assert_close(scores[:, own], really[0][:, own])


def test_out_of_fold_of_other_inputs() -> None:
    given = problem()
    weights, part = given.weights[0], torch.arange(24) % 4
    other = given.x[1]
    scores = dual(given, weights).out_of_fold_by(other @ given.x[0].T, part, part)
    for number in range(4):
        own = part == number
        really = primal(given, weights * ~own).logits(other[None])
        torch.testing.assert_close(scores[:, own], really[0][:, own])
