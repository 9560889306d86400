"""Logistic regression (Cox 1958) by L-BFGS (Liu & Nocedal 1989), many fits at once.

minimise  Σ wᵢ·cross-entropy(xᵢW + b, yᵢ) + ½ λ ‖W‖²  over W [d, k] and a free bias b [k], of one
class among k, or of each class against all that do not have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worker.ml.solvers.factors import cholesky
from worker.ml.solvers.problem import Affine, SolverProblem


def fit(
    problem: SolverProblem, l2: Tensor, *, iterations: int = 200, tolerance: float = 1e-5
) -> Affine:
    """All S by P minimisers together; `l2` is λ [P], `tolerance` bounds the gradient's share.

    As many at once as MOST_HELD allows, all from one first estimate of their curvature.
    """
    curvature, targets = _Curvature(problem), problem.targets
    parts = [
        _Search(replace(problem, weights=weights), some, targets, curvature).run(
            iterations, tolerance
        )
        for weights, some in _together(problem, l2)
    ]
    if len(parts) == 1:
        return parts[0]
    return Affine(
        torch.cat([part.weight for part in parts], 1), torch.cat([part.bias for part in parts], 1)
    )


def _together(problem: SolverProblem, l2: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The weights and λ of the fits that are searched for together."""
    spaces, rows, width = problem.x.shape
    remembered = 2 * _Search.HISTORY * (width + 1)
    each = spaces * problem.classes * (remembered + _OF_LOGITS * rows)
    size = max(1, MOST_HELD // each)
    return zip(problem.weights.split(size), l2.split(size), strict=True)


MOST_HELD = 128_000_000
"""Numbers that the fits which are searched for together may hold: of a thousand classes of texts
one fold's fit alone has 80 million.
"""
_OF_LOGITS = 6
"""Copies of its logits that a search has at a time."""


def one_against_rest(
    problem: SolverProblem,
    marks: Tensor,
    l2: Tensor,
    *,
    iterations: int = 200,
    tolerance: float = 1e-5,
) -> Affine:
    """The same with marks [n, C] in the labels' place: C binary fits for each of the S by P.

    Each class is a fit of its own to the search, which shares every product with x.
    """
    size = max(1, MOST_LOGITS // (len(problem.weights) * problem.x.shape[0] * problem.x.shape[1]))
    parts = [
        _against_rest(problem, some, l2, iterations, tolerance) for some in marks.split(size, dim=1)
    ]
    return Affine(
        torch.cat([part.weight for part in parts], -1), torch.cat([part.bias for part in parts], -1)
    )


def _against_rest(
    problem: SolverProblem, marks: Tensor, l2: Tensor, iterations: int, tolerance: float
) -> Affine:
    classes, fits = marks.shape[1], len(problem.weights)
    targets = marks.T.to(problem.x.dtype).repeat(fits, 1)[..., None]
    each = replace(problem, weights=problem.weights.repeat_interleave(classes, 0), classes=1)
    search = _BinarySearch(each, l2.repeat_interleave(classes), targets, _Curvature(each))
    found = search.run(iterations, tolerance)
    spaces, _, width, _ = found.weight.shape
    return Affine(
        found.weight.reshape(spaces, fits, classes, width).transpose(2, 3).contiguous(),
        found.bias.reshape(spaces, fits, classes),
    )


MOST_LOGITS = 8_000_000
"""Logits of all binary fits that are searched for together."""

Floats = NDArray[np.float64]
_TINY = 1e-30

CURVATURE = 0.02
"""Of a loss in its logits, as first believed: p(1 - p) of what is nearly sure (measured)."""


class _Curvature:
    """What all searches on the same rows [S, n, d] first believe: of each λ an inverse Hessian."""

    def __init__(self, problem: SolverProblem) -> None:
        x = torch.cat([problem.x, torch.ones_like(problem.x[..., :1])], -1)
        weights = CURVATURE * problem.weights.to(x.dtype).mean(0)[:, None]
        self._moments = (x * weights).transpose(1, 2) @ x
        self._least = 1e-6 * self._moments.diagonal(dim1=1, dim2=2).mean()
        self._inverses: dict[float, Tensor] = {}

    def inverse(self, l2: float, ridge: Tensor) -> Tensor:
        """[S, d + 1, d + 1] at the λ whose ridge [d + 1] this is."""
        if l2 not in self._inverses:
            added = torch.diag_embed(ridge + self._least)
            self._inverses[l2] = torch.cholesky_inverse(cholesky(self._moments + added))
        return self._inverses[l2]


class _Search:
    """L-BFGS over θ [S, P, d + 1, k] (the last row is the bias) with an exact line search.

    It starts from the Hessian of rows that all have CURVATURE, which takes half the steps of
    starting from none. Logits are linear along a direction, so a step's length costs no product
    with x.
    """

    HISTORY = 10

    def __init__(
        self, problem: SolverProblem, l2: Tensor, targets: Tensor, curvature: _Curvature
    ) -> None:
        x = problem.x
        self.x = torch.cat([x, torch.ones_like(x[..., :1])], -1)
        self.targets = targets
        self.weights = problem.weights.to(x.dtype)[None, :, :, None]
        self.ridge = l2.to(x.dtype)[None, :, None, None] * torch.ones_like(self.x[0, 0])[:, None]
        self.ridge[..., -1, :] = 0
        self.shape = (len(x), len(problem.weights), self.x.shape[2], problem.classes)
        self.believed = self._believed(l2.tolist(), curvature)
        self.rounding = torch.finfo(x.dtype).eps * self.weights.sum((-1, -2), keepdim=True)
        self.memory = _Memory(self.HISTORY, self.shape, self.x.dtype)

    def run(self, iterations: int, tolerance: float) -> Affine:
        """Descend until every problem's gradient is `tolerance` of its first, or time is up."""
        theta = self.x.new_zeros(self.shape)
        logits = self._forward(theta)
        gradient = self._gradient(theta, logits)
        enough = torch.maximum(tolerance * _norm(gradient), self.rounding)
        for _ in range(iterations):
            direction = -self.memory.descent(gradient, self._solved)
            direction *= (_norm(gradient) > enough).to(direction.dtype)
            change = self._forward(direction)
            length = self._length(logits, change, theta, direction)
            step = length * direction
            theta, logits = theta + step, logits + length * change
            after = self._gradient(theta, logits)
            self.memory.keep(step, after - gradient)
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
        residual = self.weights * (self._likely(logits) - self.targets)
        flat = residual.transpose(1, 2).reshape(spaces, -1, fits * classes)
        product = (self.x.transpose(1, 2) @ flat).reshape(spaces, width, fits, classes)
        return product.transpose(1, 2) + self.ridge * theta

    def _length(self, logits: Tensor, change: Tensor, theta: Tensor, step: Tensor) -> Tensor:
        """The t [S, P, 1, 1] that minimises the convex loss(θ + t·step), by safeguarded Newton."""
        linear, curve = _dot(self.ridge * theta, step), _dot(self.ridge * step, step)
        linear = linear - _dot(self.weights * self.targets, change)
        t = torch.ones_like(linear)
        for _ in range(4):
            mean, spread = self._moments(logits + t * change, change)
            slope = (self.weights * mean).sum((-1, -2), keepdim=True) + linear + t * curve
            bend = (self.weights * spread).sum((-1, -2), keepdim=True) + curve
            before = t
            t = torch.minimum(torch.maximum(t - slope / bend.clamp(min=1e-30), t / 10), t * 10)
            if bool(((t - before).abs() <= 0.1 * before).all()):
                break
        return t

    def _likely(self, logits: Tensor) -> Tensor:
        """Probabilities of the classes."""
        return logits.softmax(-1)

    def _moments(self, logits: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance [S, P, n, 1] of the change over the classes, which are so likely."""
        p = logits.softmax(-1)
        mean = (p * change).sum(-1, keepdim=True)
        return mean, (p * (change - mean).square()).sum(-1, keepdim=True)

    def _believed(
        self, l2: Sequence[float], curvature: _Curvature
    ) -> list[tuple[list[int], Tensor]]:
        """The fits with each λ, and the inverse [S, d + 1, d + 1] of their Hessian."""
        found = []
        for value in dict.fromkeys(l2):
            own = [place for place, other in enumerate(l2) if other == value]
            found.append((own, curvature.inverse(value, self.ridge[0, own[0], :, 0])))
        return found

    def _solved(self, q: Tensor) -> Tensor:
        """The believed Hessian's inverse times q."""
        spaces, _, width, classes = q.shape
        out = torch.empty_like(q)
        for own, inverse in self.believed:
            flat = q[:, own].transpose(1, 2).reshape(spaces, width, len(own) * classes)
            solved = inverse @ flat
            out[:, own] = solved.reshape(spaces, width, len(own), classes).transpose(1, 2)
        return out


class _BinarySearch(_Search):
    """The same with one logit a fit: that of having the class, against zero."""

    def _likely(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def _moments(self, logits: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        p = logits.sigmoid()
        return p * change, p * (1 - p) * change.square()


class _Memory:
    """The last steps and how the gradient changed over them, of each fit: [fits, HISTORY, D].

    The two-loop recursion needs only inner products of what is kept, which are kept too; so each
    use is a few products with everything at once (Chen et al. 2014).
    """

    def __init__(self, most: int, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.shape = shape
        fits, size = shape[0] * shape[1], shape[2] * shape[3]
        self.steps = torch.zeros(fits, most, size, dtype=dtype)
        self.changes = torch.zeros(fits, most, size, dtype=dtype)
        self.inner = np.zeros((fits, most, most))
        self.order: list[int] = []

    def keep(self, step: Tensor, change: Tensor) -> None:
        """In the place of the oldest."""
        most = self.steps.shape[1]
        place = self.order.pop(0) if len(self.order) == most else len(self.order)
        self.order.append(place)
        self.steps[:, place] = step.reshape(len(self.steps), -1)
        self.changes[:, place] = change.reshape(len(self.steps), -1)
        self.inner[:, place] = _numbers(self.changes, self.steps[:, place])
        self.inner[:, :, place] = _numbers(self.steps, self.changes[:, place])

    def descent(self, gradient: Tensor, first: Callable[[Tensor], Tensor]) -> Tensor:
        """The inverse Hessian's estimate times the gradient, `first` being its first estimate."""
        if not self.order:
            return first(gradient)
        flat = gradient.reshape(len(self.steps), -1)
        ahead = self._ahead(_numbers(self.steps, flat))
        rest = torch.baddbmm(flat[:, None], _tensor(ahead, flat), self.changes, alpha=-1)
        ascended = first(rest.reshape(self.shape)).reshape(len(self.steps), -1)
        back = self._back(_numbers(self.changes, ascended), ahead)
        ascended = torch.baddbmm(ascended[:, None], _tensor(back, flat), self.steps)
        return ascended.reshape(self.shape)

    def _ahead(self, along: Floats) -> Floats:
        """The first loop, newest to oldest: shares of the changes [fits, HISTORY]."""
        shares = np.zeros_like(along)
        for place in reversed(self.order):
            left = along[:, place] - (self.inner[:, place] * shares).sum(1)
            shares[:, place] = left / np.maximum(self.inner[:, place, place], _TINY)
        return shares

    def _back(self, along: Floats, ahead: Floats) -> Floats:
        """The second loop, oldest to newest: shares of the steps [fits, HISTORY]."""
        shares = np.zeros_like(along)
        for place in self.order:
            left = along[:, place] + (self.inner[:, :, place] * shares).sum(1)
            shares[:, place] = ahead[:, place] - left / np.maximum(
                self.inner[:, place, place], _TINY
            )
        return shares


def _numbers(kept: Tensor, vector: Tensor) -> Floats:
    """Inner products [fits, HISTORY] of vectors [fits, D] with those kept."""
    product: Floats = torch.bmm(kept, vector[..., None])[..., 0].double().numpy()
    return product


def _tensor(shares: Floats, like: Tensor) -> Tensor:
    return torch.from_numpy(shares).to(like.dtype)[:, None]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((-1, -2), keepdim=True)


def _norm(a: Tensor) -> Tensor:
    return _dot(a, a).sqrt()
