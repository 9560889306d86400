"""Multinomial logistic regression (Cox 1958) by L-BFGS (Liu & Nocedal 1989), many fits at once.

minimise  Σ wᵢ·cross-entropy(xᵢW + b, yᵢ) + ½ λ ‖W‖²  over W [d, k] and a free bias b [k].
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from worker.ml.heads.base import Affine, Problem


def fit(problem: Problem, l2: Tensor, *, iterations: int = 200, tolerance: float = 1e-5) -> Affine:
    """All S by P minimisers together; `l2` is λ [P], `tolerance` bounds the gradient's share."""
    return _Search(problem, l2).run(iterations, tolerance)


def objective(problem: Problem, affine: Affine, l2: Tensor) -> Tensor:
    """The minimised sum [S, P]."""
    log_p = affine.logits(problem.x).log_softmax(-1)
    losses = -(log_p * problem.targets).sum(-1)
    penalty = 0.5 * l2 * affine.weight.square().sum((-1, -2))
    return (losses * problem.weights).sum(-1) + penalty


CURVATURE = 0.02
"""Of a loss in its logits, as first believed: p(1 - p) of what is nearly sure (measured)."""


class _Search:
    """L-BFGS over θ [S, P, d + 1, k] (the last row is the bias) with an exact line search.

    It starts from the Hessian of rows that all have CURVATURE, which takes half the steps of
    starting from none. Logits are linear along a direction, so a step's length costs no product
    with x.
    """

    HISTORY = 10

    def __init__(self, problem: Problem, l2: Tensor) -> None:
        x = problem.x
        self.x = torch.cat([x, torch.ones_like(x[..., :1])], -1)
        self.targets = problem.targets
        self.weights = problem.weights.to(x.dtype)[None, :, :, None]
        self.ridge = l2.to(x.dtype)[None, :, None, None] * torch.ones_like(self.x[0, 0])[:, None]
        self.ridge[..., -1, :] = 0
        self.shape = (len(x), len(problem.weights), self.x.shape[2], problem.classes)
        self.believed = self._believed(l2.tolist())
        self.steps: list[Tensor] = []
        self.changes: list[Tensor] = []

    def run(self, iterations: int, tolerance: float) -> Affine:
        """Descend until every problem's gradient is `tolerance` of its first, or time is up."""
        theta = self.x.new_zeros(self.shape)
        logits = self._forward(theta)
        gradient = self._gradient(theta, logits)
        enough = tolerance * _norm(gradient)
        for _ in range(iterations):
            direction = -self._precondition(gradient)
            direction *= (_norm(gradient) > enough).to(direction.dtype)
            change = self._forward(direction)
            length = self._length(logits, change, theta, direction)
            step = length * direction
            theta, logits = theta + step, logits + length * change
            after = self._gradient(theta, logits)
            self._remember(step, after - gradient)
            gradient = after
            if bool((_norm(gradient) <= enough).all()):
                break
        return Affine(theta[..., :-1, :].contiguous(), theta[..., -1, :].contiguous())

    def _forward(self, theta: Tensor) -> Tensor:
        """x θ as [S, P, n, k]."""
        spaces, fits, width, classes = self.shape
        flat = theta.transpose(1, 2).reshape(spaces, width, fits * classes)
        return (self.x @ flat).reshape(spaces, -1, fits, classes).transpose(1, 2)

    def _gradient(self, theta: Tensor, logits: Tensor) -> Tensor:
        spaces, fits, width, classes = self.shape
        residual = self.weights * (logits.softmax(-1) - self.targets)
        flat = residual.transpose(1, 2).reshape(spaces, -1, fits * classes)
        product = (self.x.transpose(1, 2) @ flat).reshape(spaces, width, fits, classes)
        return product.transpose(1, 2) + self.ridge * theta

    def _length(self, logits: Tensor, change: Tensor, theta: Tensor, step: Tensor) -> Tensor:
        """The t [S, P, 1, 1] that minimises the convex loss(θ + t·step), by safeguarded Newton."""
        linear, curve = _dot(self.ridge * theta, step), _dot(self.ridge * step, step)
        linear = linear - _dot(self.weights * self.targets, change)
        t = torch.ones_like(linear)
        for _ in range(4):
            p = (logits + t * change).softmax(-1)
            mean = (p * change).sum(-1, keepdim=True)
            slope = (self.weights * mean).sum((-1, -2), keepdim=True) + linear + t * curve
            spread = (p * (change - mean).square()).sum(-1, keepdim=True)
            bend = (self.weights * spread).sum((-1, -2), keepdim=True) + curve
            before = t
            t = torch.minimum(torch.maximum(t - slope / bend.clamp(min=1e-30), t / 10), t * 10)
            if bool(((t - before).abs() <= 0.01 * before).all()):
                break
        return t

    def _remember(self, step: Tensor, change: Tensor) -> None:
        self.steps = [*self.steps, step][-self.HISTORY :]
        self.changes = [*self.changes, change][-self.HISTORY :]

    def _precondition(self, gradient: Tensor) -> Tensor:
        """The two-loop recursion: the inverse Hessian's estimate times the gradient."""
        q, kept = gradient.clone(), []
        for step, change in zip(reversed(self.steps), reversed(self.changes), strict=True):
            share = _dot(step, q) / _dot(step, change).clamp(min=1e-30)
            q -= share * change
            kept.append(share)
        q = self._solved(q)
        for step, change in zip(self.steps, self.changes, strict=True):
            q += (kept.pop() - _dot(change, q) / _dot(step, change).clamp(min=1e-30)) * step
        return q

    def _believed(self, l2: Sequence[float]) -> list[tuple[list[int], Tensor]]:
        """The fits with each λ, and the Cholesky factor [S, d + 1, d + 1] of their Hessian."""
        weights = CURVATURE * self.weights[0].mean(0)
        moments = (self.x * weights).transpose(1, 2) @ self.x
        least = 1e-6 * moments.diagonal(dim1=1, dim2=2).mean()
        found = []
        for value in dict.fromkeys(l2):
            own = [place for place, other in enumerate(l2) if other == value]
            added = torch.diag_embed(self.ridge[0, own[0], :, 0] + least)
            found.append((own, torch.linalg.cholesky(moments + added)))
        return found

    def _solved(self, q: Tensor) -> Tensor:
        """The believed Hessian's inverse times q."""
        spaces, _, width, classes = q.shape
        out = torch.empty_like(q)
        for own, factor in self.believed:
            flat = q[:, own].transpose(1, 2).reshape(spaces, width, len(own) * classes)
            solved = torch.cholesky_solve(flat, factor)
            out[:, own] = solved.reshape(spaces, width, len(own), classes).transpose(1, 2)
        return out


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((-1, -2), keepdim=True)


def _norm(a: Tensor) -> Tensor:
    return _dot(a, a).sqrt()
