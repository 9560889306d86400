"""Linear discriminant analysis against its definition and against scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from tests.unit.worker.ml.tasks import problem
from worker.ml.solvers import lda, moments
from worker.ml.solvers.problem import Affine, SolverProblem


def fitted(given: SolverProblem, shrinkage: float, *, space: int = 0, weighting: int = 0) -> Affine:
    """By the moments of all rows of one space."""
    return with_folds(given, shrinkage, torch.zeros_like(given.labels), space, weighting)


def with_folds(
    given: SolverProblem, shrinkage: float, fold: Tensor, space: int = 0, weighting: int = 0
) -> Affine:
    one = replace(given, x=given.x[space][None], weights=given.weights[weighting][None])
    count = int(fold.max()) + 1 if bool(fold.any()) else 0
    each = moments.with_folds(one, fold=fold, count=count)
    return lda.from_moments(each, torch.tensor([shrinkage], dtype=given.x.dtype))


def equal(given: SolverProblem) -> SolverProblem:
    return SolverProblem(
        x=given.x, labels=given.labels, classes=3, weights=torch.ones_like(given.weights)
    )


def test_almost_unshrunk_it_is_scikit_learns() -> None:
    given = equal(problem(n=60))
    found = fitted(given, 1e-9).logits(given.x[:1])
    theirs = LinearDiscriminantAnalysis(solver="lsqr", priors=[1 / 3] * 3)
    theirs.fit(given.x[0], given.labels)
    expected = torch.from_numpy(theirs.decision_function(given.x[0]))
    ours = found[0, 0] - found[0, 0].mean(1, keepdim=True)
    torch.testing.assert_close(ours, expected - expected.mean(1, keepdim=True))


def test_its_covariance_is_the_one_of_the_definition() -> None:
    given = problem()
    shrinkage = 0.3
    found = fitted(given, shrinkage, space=1, weighting=1)
    x, share = given.x[1], given.weights[1] / given.weights[1].sum()
    means = torch.stack(
        [
            (share * x.T)[:, given.labels == c].sum(1) / share[given.labels == c].sum()
            for c in range(3)
        ]
    )
    within = sum(
        s * torch.outer(row - means[c], row - means[c])
        for row, c, s in zip(x, given.labels.tolist(), share, strict=True)
    )
    total = (share[:, None] * (x - share @ x).square()).sum() / 5
    covariance = (1 - shrinkage) * within + shrinkage * total * torch.eye(5, dtype=torch.double)
    torch.testing.assert_close(covariance @ found.weight[0, 0], means.T)
    torch.testing.assert_close(
        found.bias[0, 0], -0.5 * (means @ torch.linalg.inv(covariance) * means).sum(1)
    )


@pytest.mark.parametrize("shrinkage", [0.1, 0.5])
def test_all_folds_at_once_are_each_alone(shrinkage: float) -> None:
    given, fold = problem(fits=1), torch.arange(24) // 3 % 4
    found = with_folds(given, shrinkage, fold)
    for number in range(4):
        kept = replace(given, weights=given.weights * (fold != number))
        alone = fitted(kept, shrinkage)
        torch.testing.assert_close(found.weight[:, number + 1], alone.weight[:, 0])
        torch.testing.assert_close(found.bias[:, number + 1], alone.bias[:, 0])


def test_a_class_that_a_fold_takes_away_does_no_harm() -> None:
    given = problem(fits=1)
    labels = torch.tensor([0, 1] * 11 + [0, 2])
    one = SolverProblem(
        x=given.x[:1].float(), labels=labels, classes=3, weights=given.weights.float()
    )
    found = with_folds(one, 0.3, torch.arange(24) // 8)
    assert float(found.weight.abs().max()) < 1e3


def test_fully_shrunk_it_is_the_nearest_mean() -> None:
    given = equal(problem())
    found = fitted(given, 1.0).logits(given.x[:1])[0, 0]
    means = torch.stack([given.x[0][given.labels == c].mean(0) for c in range(3)])
    assert torch.equal(found.argmax(1), torch.cdist(given.x[0], means).argmin(1))


@pytest.mark.parametrize("width", [5, 60])
def test_unshrunk_it_copes_with_few_rows(width: int) -> None:
    given = problem(n=12, width=width, fits=1)
    one = SolverProblem(
        x=given.x[:1].float() + 1, labels=given.labels, classes=3, weights=given.weights.float()
    )
    fold = torch.arange(12) // 3 % 2
    found = with_folds(one, 0.0, fold)
    assert bool(found.weight.isfinite().all())
    assert bool(fitted(one, 0.0).weight.isfinite().all())
