"""Have two samples one distribution? The energy distance, judged by permuting both together.

Székely and Rizzo, "Energy statistics" (2013): twice the mean distance between the samples less the
mean distances within each. It is zero only where they have one distribution, in any dimension, and
needs no bandwidth. It is blind to small changes in directions of little variance, as a camera's
exposure makes, and to a class that comes a little more often: those are looked for beside it.
Labels are permuted over both samples together, so that the p-value is right for any sizes, whatever
the distribution is; resampling the reference alone would always alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.live.drifting import ALPHA, LEAST_EFFECT, LONGER

Matrix = NDArray[np.float64]
Pause = Callable[[], None]
"""Called often, by whose raising a test is given up."""
PERMUTATIONS = 4999
_FIRST = 499
_LARGE = 0.05
_TOGETHER = 250
"""Labellings that are looked at between two pauses."""
_CONSTANT = 1e-9
NEAREST = 5
RIDGE = 0.01
"""What is added to each direction's variance, as a part of all of them together."""


@dataclass(frozen=True, slots=True)
class TwoSampleTest:
    """`p` by permutation; `effect` in [0, 1]: the energy distance as a part of twice the mean
    distance between the samples (their coefficient of inhomogeneity), or the largest difference
    of a column's means.
    """

    p: float
    effect: float

    def told(self) -> dict[str, float]:
        """As JSON."""
        return {"p": self.p, "effect": round(self.effect, 5)}


def distances(rows: Matrix) -> Matrix:
    """Euclidean distances between all rows [n, D] as [n, n]."""
    squares = (rows**2).sum(1)
    apart: Matrix = np.sqrt(np.maximum(0.0, squares[:, None] + squares - 2 * rows @ rows.T))
    return apart


def whitened(rows: Matrix) -> Matrix:
    """Squared distances [n, n] between rows [n, D] in which all directions have one variance, but
    for a ridge: their energy distance is a regularised Hotelling's T² (Hagrass et al. 2024).

    The variance is of both samples together, so that permuting stays right.
    """
    centred = rows - rows.mean(0)
    gram = centred @ centred.T
    whole = float(np.trace(gram))
    if whole <= _CONSTANT**2 * float((rows**2).sum()):
        return np.zeros_like(gram)
    inner = np.linalg.solve(gram + RIDGE * whole * np.eye(len(gram)), gram)
    own = np.diag(inner)
    apart: Matrix = np.maximum(0.0, own[:, None] + own - inner - inner.T)
    return apart


def no_pause() -> None:
    """A test that nobody gives up."""


def compare(
    apart: Matrix,
    sizes: tuple[int, int],
    seed: int,
    strata: Sequence[Any] | None = None,
    *,
    pause: Pause = no_pause,
) -> TwoSampleTest:
    """The difference of two samples of these sizes, whose distances are `apart` [n, n].

    Where a tenth of the permutations leaves no doubt that p is large, the rest is not made: that
    can only take an alarm away. Within `strata` what differs between them tells nothing.
    """
    labelling = _Labelling(sizes, seed, strata)
    energies, between = _energies(apart, labelling.own[None])
    own, scale = float(energies[0]), 2 * float(between[0])
    p = _p_value(labelling, own, lambda masks: _energies(apart, masks)[0], pause)
    return TwoSampleTest(p, max(0.0, own) / scale if scale > 0 else 0.0)


def compare_means(
    columns: Matrix, sizes: tuple[int, int], seed: int, *, pause: Pause = no_pause
) -> TwoSampleTest:
    """The difference of the columns' means [n, C], as probabilities of classes: the largest one.

    That of label-shift detection by a classifier's answers (Lipton et al. 2018), each column over
    its own deviation: where one class comes more often a sum over all of them drowns it.
    """
    labelling = _Labelling(sizes, seed, None)
    varied = columns[:, columns.std(0) > _CONSTANT]
    if not varied.shape[1]:
        return TwoSampleTest(1.0, 0.0)
    scaled = varied / varied.std(0)
    own = float(_largest(scaled, labelling.own[None])[0])
    p = _p_value(labelling, own, lambda masks: _largest(scaled, masks), pause)
    return TwoSampleTest(p, float(_largest(varied, labelling.own[None])[0]))


def _p_value(
    labelling: _Labelling,
    own: float,
    statistic: Callable[[NDArray[np.bool_]], Matrix],
    pause: Pause,
) -> float:
    """The share of labellings, the own among them, whose statistic is as large."""
    beyond = made = 0
    for count in (_FIRST, PERMUTATIONS - _FIRST):
        masks = labelling.draw(count)
        for start in range(0, count, _TOGETHER):
            pause()
            drawn = statistic(masks[start : start + _TOGETHER])
            beyond += int((drawn >= own - 1e-12).sum())
        made += count
        if beyond > _FIRST * _LARGE:
            break
    return (1 + beyond) / (1 + made)


def _largest(columns: Matrix, masks: NDArray[np.bool_]) -> Matrix:
    """The largest difference of a column's means, of each labelling."""
    first = masks.astype(np.float64)
    n = first.sum(1, keepdims=True)
    reach = first @ columns
    apart = reach / n - (columns.sum(0) - reach) / (masks.shape[1] - n)
    found: Matrix = np.abs(apart).max(1)
    return found


class _Labelling:
    """Who is of the first sample, as it is and permuted."""

    def __init__(self, sizes: tuple[int, int], seed: int, strata: Sequence[Any] | None) -> None:
        self.own = np.arange(sum(sizes)) < sizes[0]
        self._random = np.random.default_rng(seed)
        kinds = np.zeros(len(self.own), int)
        if strata is not None:
            kinds = np.unique(strata, return_inverse=True)[1]
        self._places = [np.flatnonzero(kinds == kind) for kind in range(int(kinds.max()) + 1)]

    def draw(self, count: int) -> NDArray[np.bool_]:
        """So many permutations [count, n], each within the strata."""
        masks = np.tile(self.own, (count, 1))
        for places in self._places:
            masks[:, places] = self._random.permuted(masks[:, places], axis=1)
        return masks


def _energies(apart: Matrix, masks: NDArray[np.bool_]) -> tuple[Matrix, Matrix]:
    """The energy distance (unbiased) and the mean distance between, of each labelling."""
    first = masks.astype(np.float64)
    reach = first @ apart
    within = (reach * first).sum(1)
    across = reach.sum(1) - within
    rest = apart.sum() - within - 2 * across
    n, m = first.sum(1), (~masks).sum(1)
    between = across / (n * m)
    inside = within / (n * np.maximum(1, n - 1)) + rest / (m * np.maximum(1, m - 1))
    return 2 * between - inside, between


def strangeness(apart: Matrix, first: int) -> Matrix:
    """How far each row of the second sample lies from its nearest ones of the first, [m]."""
    nearest = np.sort(apart[first:, :first], axis=1)[:, :NEAREST]
    far: Matrix = nearest.mean(1)
    return far


def judged(
    tests: Sequence[TwoSampleTest], longer: TwoSampleTest | None = None
) -> tuple[float, bool]:
    """The window's p, which allows for the number of tests (Bonferroni); whether it drifted.

    A share of the level is kept for the test of several windows together, which has what so many of
    them have kept: over all windows no more than the level is spent.
    """
    shares = len(tests) + 1
    counted = [(shares * one.p, one) for one in tests]
    if longer is not None:
        counted.append((shares * longer.p / LONGER, longer))
    p = min(1.0, *(p for p, _ in counted))
    return p, any(p <= ALPHA and one.effect >= LEAST_EFFECT for p, one in counted)
