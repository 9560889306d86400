"""Have two samples one distribution? The energy distance, judged by permuting both together.

Székely and Rizzo, "Energy statistics" (2013): twice the mean distance between the samples less the
mean distances within each. It is zero only where they have one distribution, in any dimension, and
needs no bandwidth. Labels are permuted over both samples together, so that the p-value is right for
any sizes, whatever the distribution is; resampling the reference alone would always alarm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.live.drifting import ALPHA, LEAST_EFFECT

Matrix = NDArray[np.float64]
PERMUTATIONS = 4999
_FIRST = 499
_LARGE = 0.05
NEAREST = 5


@dataclass(frozen=True, slots=True)
class EnergyTest:
    """`p` by permutation; `effect` in [0, 1]: the energy distance as a part of twice the mean
    distance between the samples (their coefficient of inhomogeneity).
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


def compare(
    apart: Matrix, sizes: tuple[int, int], seed: int, strata: Sequence[Any] | None = None
) -> EnergyTest:
    """The difference of two samples of these sizes, whose distances are `apart` [n, n].

    Where a tenth of the permutations leaves no doubt that p is large, the rest is not made: that
    can only take an alarm away. Within `strata` what differs between them tells nothing.
    """
    labelling = _Labelling(sizes, seed, strata)
    energies, between = _energies(apart, labelling.own[None])
    own, scale = float(energies[0]), 2 * float(between[0])
    beyond = made = 0
    for count in (_FIRST, PERMUTATIONS - _FIRST):
        drawn, _ = _energies(apart, labelling.draw(count))
        beyond, made = beyond + int((drawn >= own - 1e-12).sum()), made + count
        if beyond > _FIRST * _LARGE:
            break
    effect = max(0.0, own) / scale if scale > 0 else 0.0
    return EnergyTest((1 + beyond) / (1 + made), effect)


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


def judged(tests: Sequence[EnergyTest]) -> tuple[float, bool]:
    """The window's p, which allows for the number of tests (Bonferroni); whether it drifted."""
    p = min(1.0, len(tests) * min(one.p for one in tests))
    evident = [one for one in tests if len(tests) * one.p <= ALPHA]
    return p, any(one.effect >= LEAST_EFFECT for one in evident)
