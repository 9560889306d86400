"""What closed forms need to know of weighted rows: of all of them, and of all but each fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.ml.solvers.problem import SolverProblem


@dataclass(frozen=True)
class Moments:
    """Weighted counts [k] and sums [k, d] of each class, and second moments [d, d] of all."""

    counts: Tensor
    sums: Tensor
    second: Tensor

    def without(self, part: Moments) -> Moments:
        """Those of the other rows."""
        return Moments(self.counts - part.counts, self.sums - part.sums, self.second - part.second)

    def with_(self, other: Moments) -> Moments:
        """Those of both parts' rows."""
        return Moments(
            self.counts + other.counts, self.sums + other.sums, self.second + other.second
        )


def with_folds(problem: SolverProblem, *, fold: Tensor, count: int) -> list[Moments]:
    """Of all rows of one space, then without each of `count` folds; `problem.weights` is [1, n].

    A fold's are taken from the total, so that all together cost what one does.
    """
    weights = problem.weights[0].to(problem.x.dtype)
    parts = [_of(problem, weights, torch.nonzero(fold == number)[:, 0]) for number in range(count)]
    if not parts:
        return [_of(problem, weights, torch.arange(len(weights)))]
    total = _total(parts)
    return [total, *(total.without(part) for part in parts)]


def of_marks(
    x: Tensor, marks: Tensor, weights: Tensor, *, fold: Tensor, count: int
) -> list[Moments]:
    """The same of rows x [n, d] with marks [n, C] instead of one label each, and weights [n].

    The last of C + 1 counts and sums is what the others lack of all rows': with it they add up as
    those of exclusive classes do, which is all that least squares asks.
    """
    rows = [torch.nonzero(fold == number)[:, 0] for number in range(count)] or [
        torch.arange(len(x))
    ]
    parts = [_of_marks(x[some], marks[some], weights[some, None].to(x.dtype)) for some in rows]
    total = _total(parts)
    return [total, *(total.without(part) for part in parts if count)]


def _of_marks(x: Tensor, marks: Tensor, own: Tensor) -> Moments:
    mass = marks * own
    counts, sums = mass.sum(0), mass.T @ x
    return Moments(
        torch.cat([counts, (own.sum() - counts.sum())[None]]),
        torch.cat([sums, ((own * x).sum(0) - sums.sum(0))[None]]),
        (x * own).T @ x,
    )


def _total(parts: Sequence[Moments]) -> Moments:
    total = parts[0]
    for part in parts[1:]:
        total = total.with_(part)
    return total


def _of(problem: SolverProblem, weights: Tensor, rows: Tensor) -> Moments:
    x, own = problem.x[0][rows], weights[rows, None]
    mass = torch.nn.functional.one_hot(problem.labels[rows], problem.classes) * own
    return Moments(mass.sum(0), mass.T @ x, (x * own).T @ x)
