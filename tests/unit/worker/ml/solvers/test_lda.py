"""Linear discriminant analysis against its definition and against scikit-learn."""

from __future__ import annotations

import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from tests.unit.worker.ml.tasks import problem
from worker.ml.solvers import lda
from worker.ml.solvers.problem import SolverProblem


def equal(given: SolverProblem) -> SolverProblem:
    return SolverProblem(
        x=given.x, labels=given.labels, classes=3, weights=torch.ones_like(given.weights)
    )


def test_almost_unshrunk_it_is_scikit_learns() -> None:
    given = equal(problem(n=60))
    found = lda.fit(given, torch.tensor([1e-9, 1e-9], dtype=torch.double)).logits(given.x)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", priors=[1 / 3] * 3)
    theirs.fit(given.x[0], given.labels)
    expected = torch.from_numpy(theirs.decision_function(given.x[0]))
    ours = found[0, 0] - found[0, 0].mean(1, keepdim=True)
    torch.testing.assert_close(ours, expected - expected.mean(1, keepdim=True))


def test_its_covariance_is_the_one_of_the_definition() -> None:
    given = problem()
    shrinkage = 0.3
    found = lda.fit(given, torch.tensor([shrinkage] * 2, dtype=torch.double))
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
    torch.testing.assert_close(covariance @ found.weight[1, 1], means.T)
    torch.testing.assert_close(
        found.bias[1, 1], -0.5 * (means @ torch.linalg.inv(covariance) * means).sum(1)
    )


def test_all_folds_at_once_are_each_alone() -> None:
    given = problem(fits=1)
    one = SolverProblem(x=given.x[:1], labels=given.labels, classes=3, weights=given.weights)
    shrinkage, fold = torch.tensor([0.1, 0.5], dtype=torch.double), torch.arange(24) // 3 % 4
    found = lda.with_folds(one, shrinkage, fold=fold, count=4)
    masks = torch.cat([torch.ones(1, 24), (fold != torch.arange(4)[:, None]).double()])
    each = SolverProblem(
        x=one.x, labels=one.labels, classes=3, weights=(masks * given.weights).repeat(2, 1)
    )
    expected = lda.fit(each, shrinkage.repeat_interleave(5))
    torch.testing.assert_close(found.weight, expected.weight)
    torch.testing.assert_close(found.bias, expected.bias)


def test_a_class_that_a_fold_takes_away_does_no_harm() -> None:
    given = problem(fits=1)
    labels = torch.tensor([0, 1] * 11 + [0, 2])
    one = SolverProblem(
        x=given.x[:1].float(), labels=labels, classes=3, weights=given.weights.float()
    )
    found = lda.with_folds(one, torch.tensor([0.3]), fold=torch.arange(24) // 8, count=3)
    assert float(found.weight.abs().max()) < 1e3


def test_fully_shrunk_it_is_the_nearest_mean() -> None:
    given = equal(problem())
    found = lda.fit(given, torch.ones(2, dtype=torch.double)).logits(given.x)[0, 0]
    means = torch.stack([given.x[0][given.labels == c].mean(0) for c in range(3)])
    assert torch.equal(found.argmax(1), torch.cdist(given.x[0], means).argmin(1))


@pytest.mark.parametrize("width", [5, 60])
def test_unshrunk_it_copes_with_few_rows(width: int) -> None:
    given = problem(n=12, width=width, fits=1)
    one = SolverProblem(
        x=given.x[:1].float() + 1, labels=given.labels, classes=3, weights=given.weights.float()
    )
    fold = torch.arange(12) // 3 % 2
    found = lda.with_folds(one, torch.zeros(1), fold=fold, count=2)
    assert bool(found.weight.isfinite().all())
    assert bool(lda.fit(one, torch.zeros(1)).weight.isfinite().all())
