"""Intervals for proportions."""

from __future__ import annotations

import math

_Z95 = 1.959963984540054


def wilson(successes: float, trials: float) -> tuple[float, float]:
    """The 95% score interval of a proportion (Wilson 1927); (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    share, square = successes / trials, _Z95**2
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    spread = math.sqrt(share * (1 - share) / trials + square / (4 * trials**2))
    half = _Z95 * spread / (1 + square / trials)
    return max(0.0, centre - half), min(1.0, centre + half)
