"""Ridge regression on one-hot labels (Hoerl & Kennard 1970), with what it would say unseen.

minimise  Σ wᵢ‖yᵢ - xᵢW - b‖² + λ‖W‖²  over W [d, k] and a free bias b [k].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.ml import threads
from worker.ml.solvers.factors import cholesky
from worker.ml.solvers.moments import Moments
from worker.ml.solvers.problem import Affine


def from_moments(each: Sequence[Moments], l2: Tensor) -> Affine:
    """[1, Λ·len(each), d, k]: all fits of a λ of l2 [Λ] together, in the order of `each`."""
    solutions = threads.each(lambda one: list(_solutions(one, l2)), each)
    ordered = [fits[place] for place in range(len(l2)) for fits in solutions]
    weight, bias = zip(*ordered, strict=True)
    return Affine(torch.stack(weight)[None], torch.stack(bias)[None])


def _solutions(one: Moments, l2: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """(W [d, k], b [k]) at each λ, in float64: few λ are near what single precision loses."""
    counts, sums, second = one.counts.double(), one.sums.double(), one.second.double()
    total, summed = counts.sum(), sums.sum(0)
    mean_x, mean_y = summed / total, counts / total
    centred = second - torch.outer(summed, mean_x)
    target = sums.T - torch.outer(summed, mean_y)
    for value in l2.tolist():
        system = centred.clone()
        system.diagonal().add_(value)
        weight = torch.cholesky_solve(target, cholesky(system))
        yield weight, mean_y - mean_x @ weight


@dataclass(frozen=True)
class Dual:
    """Fits for all λ [Λ] by their rows: W = Σ alphaᵢ·xᵢ, alpha [Λ, n, k], bias [Λ, k].

    `inverse` [Λ, n, n] and `share` [Λ, n] are the bordered system's: what a row's target moves.
    """

    alpha: Tensor
    bias: Tensor
    inverse: Tensor
    share: Tensor

    def out_of_fold(self, targets: Tensor, parts: Tensor) -> Tensor:
        """What the scores of each row would be, had its part not been fitted on: [Λ, n, k].

        `parts` [n] numbers what is left out together, each row its own for leave-one-out. Exact:
        y_F - ŷ_F = M_FF⁻¹ alpha_F.
        """
        if len(parts.unique()) == len(parts):
            return targets - self.alpha / self.inverse.diagonal(dim1=-2, dim2=-1)[..., None]
        scores = torch.empty_like(self.alpha)
        for part in parts.unique().tolist():
            rows = torch.nonzero(parts == part)[:, 0]
            scores[:, rows] = targets[rows] - self._freed(rows)
        return scores

    def out_of_fold_by(self, cross: Tensor, parts: Tensor, asked: Tensor) -> Tensor:
        """The same for other inputs [Λ, q, k]: their inner products with the rows, cross [q, n],
        and their parts, asked [q].
        """
        scores = self.alpha.new_empty(len(self.alpha), len(cross), self.alpha.shape[2])
        for part in asked.unique().tolist():
            rows = torch.nonzero(parts == part)[:, 0]
            freed = self._freed(rows)
            alpha = self.alpha - self.inverse[:, :, rows] @ freed
            bias = self.bias[:, None] - self.share[:, None, rows] @ freed
            scores[:, asked == part] = cross[asked == part] @ alpha + bias
        return scores

    def _freed(self, rows: Tensor) -> Tensor:
        """M_FF⁻¹ alpha_F; M is positive definite on rows that are not all rows."""
        factor = cholesky(self.inverse[:, rows[:, None], rows])
        freed: Tensor = torch.cholesky_solve(self.alpha[:, rows], factor)
        return freed


def by_rows(gram: Tensor, targets: Tensor, *, l2: float) -> tuple[Tensor, Tensor]:
    """`dual`'s alpha [n, k] and bias [k] at one λ with weights of one, and no more than those."""
    system = gram.clone()
    system.diagonal().add_(l2)
    both = torch.cat([targets, torch.ones_like(targets[:, :1])], 1)
    solved = torch.cholesky_solve(both, cholesky(system))
    alpha, ones = solved[:, :-1], solved[:, -1:]
    bias = alpha.sum(0) / ones.sum()
    return alpha - ones * bias, bias


def dual(gram: Tensor, targets: Tensor, weights: Tensor, *, l2: Tensor) -> Dual:
    """The minimisers from the rows' Gram matrix [n, n], targets [n, k] and weights [n] > 0."""
    inverse = torch.stack(threads.each(lambda value: _inverse(gram, value / weights), l2))
    sums = inverse.sum(-1)
    share = sums / sums.sum(-1, keepdim=True)
    bias = share[:, None] @ targets
    inverse = inverse - sums[:, :, None] * share[:, None]
    return Dual(inverse @ targets, bias[:, 0], inverse, share)


def _inverse(gram: Tensor, noise: Tensor) -> Tensor:
    """(gram + diag(noise))⁻¹."""
    system = gram.clone()
    system.diagonal().add_(noise)
    return torch.cholesky_inverse(cholesky(system))
