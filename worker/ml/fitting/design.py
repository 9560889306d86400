"""The rows that heads are fitted on, in one space: views of examples, centred, with their weights.

A prediction reads one view, so the support's further views are rows of their own (a mirrored
example is one more example of a fraction of the weight) while they are few; where they would be
many, or where predictions average over the views too, an example is the mean of its views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.ml.features.spaces import Channel
from worker.ml.folds import Folds
from worker.ml.lazily import lazily
from worker.ml.solvers import moments
from worker.ml.solvers.factors import cholesky
from worker.ml.solvers.moments import Moments
from worker.ml.solvers.problem import SolverProblem

BLOCK = 256
"""Rows of a Gram matrix that are computed together."""

ROUNDING = 1e-5
"""Added to a Gram matrix's diagonal, as a share of its mean."""

RESOLUTION = 1e-5
"""Rows of length one that differ by less do not differ: half precision gave them that much."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """Rows `x` [m, F], centred on `centre` [F], that weights are combinations of.

    Fits are on N rows, row i of example `owner[i]` with `weights[i]`: on x itself, or of many
    examples on `many`, their coordinates in the span of x, rows [N, m] and as a prediction would
    see them [n, m]. `asked` [n, F] are the examples as a prediction would see them, centred too;
    None where they are the first n rows.
    """

    channel: Channel
    learned: tuple[str, ...]
    folds: Folds
    x: Tensor
    asked: Tensor | None
    centre: Tensor
    owner: Tensor
    weights: Tensor
    many: tuple[Tensor, Tensor] | None = None

    @lazily
    def gram(self) -> Tensor:
        """Inner products [m, m], float64."""
        return _inner(self.x).double()

    @property
    def own(self) -> Tensor:
        """Inner products of one row an example, or of the landmarks."""
        n = int(self.owner.max()) + 1
        return self.gram[:n, :n]

    @lazily
    def factor(self) -> Tensor:
        """The coordinates [m, m] of x in its own span: times their transpose, `gram`.

        Every L2-regularised fit on the rows is the same fit on these; `combination` leads back.
        """
        lifted = self.gram.clone()
        lifted.diagonal().add_(ROUNDING * lifted.diagonal().mean().clamp(min=RESOLUTION**2))
        return cholesky(lifted)

    @lazily
    def coordinates(self) -> Tensor:
        """Of the rows [N, m] that fits are on, float32."""
        return self.factor.float() if self.many is None else self.many[0]

    @lazily
    def cross(self) -> Tensor:
        """Inner products [n, m] of the examples as predictions see them with x."""
        if self.asked is None:
            return self.gram[: int(self.owner.max()) + 1]
        return (self.asked @ self.x.T).double()

    @lazily
    def asked_coordinates(self) -> Tensor:
        """Of the examples as predictions see them [n, m], float32."""
        if self.many is not None:
            return self.many[1]
        if self.asked is None:
            return self.factor[: len(self.cross)].float()
        solved: Tensor = torch.linalg.solve_triangular(self.factor, self.cross.T, upper=False)
        return solved.T.float()

    @lazily
    def moments(self) -> list[Moments]:
        """Of the coordinates: of all rows, then without each fold."""
        problem = SolverProblem(
            x=self.coordinates[None],
            labels=self.folds.labels[self.owner],
            classes=self.folds.classes,
            weights=self.weights[None],
        )
        fold = self.folds.fold[self.owner]
        return moments.with_folds(problem, fold=fold, count=self.folds.count)

    def combination(self, weight: Tensor) -> Tensor:
        """The alpha [m, k] of a weight [m, k] on the coordinates."""
        alpha: Tensor = torch.linalg.solve_triangular(self.factor.T, weight.double(), upper=True)
        return alpha

    def folded(self, alpha: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """(W [F, k], b [k]) on the space itself from a fit Σ alphaᵢ·rowᵢ, alpha [m, k]."""
        weight = self.x.T @ alpha.float()
        return weight, bias.float() - self.centre @ weight


def _inner(x: Tensor) -> Tensor:
    """x xᵀ, of large ones only the upper blocks computed."""
    if len(x) < 2 * BLOCK:
        return x @ x.T
    gram = x.new_empty(len(x), len(x))
    for start in range(0, len(x), BLOCK):
        stop = start + BLOCK
        gram[start:stop, start:] = x[start:stop] @ x[start:].T
        gram[stop:, start:stop] = gram[start:stop, stop:].T
    return gram


def design(
    parts: Sequence[Tensor],
    folds: Folds,
    *,
    asked: Tensor | None,
    channel: Channel,
    learned: tuple[str, ...],
) -> Design:
    """Rows of several views [n, F] each, an example's weight shared among them."""
    weights = folds.balance.repeat(len(parts)) / len(parts)
    x = parts[0] if len(parts) == 1 else torch.cat(list(parts))
    centre = (weights.float() / float(weights.sum())) @ x
    x = x - centre
    return Design(
        channel=channel,
        learned=learned,
        folds=folds,
        x=x * (torch.linalg.vector_norm(x, dim=1, keepdim=True) > RESOLUTION),
        asked=None if asked is None else asked - centre,
        centre=centre,
        owner=torch.arange(len(folds.labels)).repeat(len(parts)),
        weights=weights,
    )
