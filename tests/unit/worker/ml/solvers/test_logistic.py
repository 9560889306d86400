"""Logistic regression against scikit-learn and against autograd."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from tests.unit.worker.ml.tasks import problem
from worker.ml.solvers import logistic
from worker.ml.solvers.problem import Affine, SolverProblem

L2 = torch.tensor([0.05, 2.0], dtype=torch.double)


def centred(logits: Tensor) -> Tensor:
    return logits - logits.mean(-1, keepdim=True)


def test_it_finds_what_scikit_learn_finds() -> None:
    given = problem()
    found = centred(logistic.fit(given, L2, tolerance=1e-9).logits(given.x))
    for space in range(2):
        for fit in range(2):
            theirs = LogisticRegression(C=1 / float(L2[fit]), tol=1e-10, max_iter=5000)
            theirs.fit(given.x[space], given.labels, sample_weight=given.weights[fit])
            expected = centred(torch.from_numpy(theirs.decision_function(given.x[space])))
            torch.testing.assert_close(found[space, fit], expected, atol=1e-4, rtol=1e-4)


def objective(given: SolverProblem, affine: Affine) -> Tensor:
    """The minimised sum [S, P] as the module's docstring has it."""
    log_p = affine.logits(given.x).log_softmax(-1)
    losses = -(log_p * given.targets).sum(-1)
    penalty = 0.5 * L2 * affine.weight.square().sum((-1, -2))
    return (losses * given.weights).sum(-1) + penalty


def test_autograd_finds_no_slope_at_the_minimum() -> None:
    given = problem()
    found = logistic.fit(given, L2, tolerance=1e-9)
    affine = Affine(found.weight.clone().requires_grad_(), found.bias.clone().requires_grad_())
    objective(given, affine).sum().backward()
    for parameter in (affine.weight, affine.bias):
        assert parameter.grad is not None
        assert float(parameter.grad.abs().max()) < 1e-6


def test_a_row_of_no_weight_changes_nothing() -> None:
    given = problem(fits=1)
    weights = given.weights.clone()
    weights[:, :4] = 0
    masked = logistic.fit(
        type(given)(x=given.x, labels=given.labels, classes=3, weights=weights), L2[:1]
    )
    fewer = type(given)(
        x=given.x[:, 4:], labels=given.labels[4:], classes=3, weights=weights[:, 4:]
    )
    without = logistic.fit(fewer, L2[:1])
    torch.testing.assert_close(masked.weight, without.weight, atol=1e-3, rtol=1e-3)


def test_separable_rows_do_not_run_away() -> None:
    given = problem(n=6, width=20)
    found = logistic.fit(given, torch.tensor([1e-6, 1e-6], dtype=torch.double))
    assert bool(found.weight.isfinite().all())
    assert bool((found.logits(given.x).argmax(-1) == given.labels).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_at_once_is_each_alone(dtype: torch.dtype) -> None:
    given = problem()
    given = type(given)(
        x=given.x.to(dtype), labels=given.labels, classes=3, weights=given.weights.to(dtype)
    )
    together = logistic.fit(given, L2.to(dtype), tolerance=1e-6)
    alone = type(given)(x=given.x[1:], labels=given.labels, classes=3, weights=given.weights[1:])
    single = logistic.fit(alone, L2[1:].to(dtype), tolerance=1e-6)
    torch.testing.assert_close(together.weight[1:, 1:], single.weight, atol=2e-3, rtol=2e-3)


def test_fits_are_held_as_many_at_once_as_may_be_and_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given, l2 = problem(fits=5), torch.tensor([0.05, 0.1, 0.5, 1.0, 2.0], dtype=torch.double)
    together = logistic.fit(given, l2)
    held: list[int] = []

    class Counted(logistic._Search):
        def __init__(self, part: SolverProblem, *more: Any) -> None:
            held.append(len(part.weights))
            super().__init__(part, *more)

    monkeypatch.setattr(logistic, "_Search", Counted)
    spaces, rows, width = given.x.shape
    one = spaces * given.classes * (20 * (width + 1) + 6 * rows)
    for most, expected in ((2 * one, [2, 2, 1]), (1, [1] * 5), (5 * one, [5])):
        monkeypatch.setattr(logistic, "MOST_HELD", most)
        held.clear()
        apart = logistic.fit(given, l2)
        assert held == expected
        torch.testing.assert_close(apart.weight, together.weight, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(apart.bias, together.bias, atol=1e-5, rtol=1e-5)
