"""What a pass through an engine takes: a price of its own, and so much for each input.

Seconds an input are fitted as `each + price / count` by least squares with exponential forgetting,
so that one slow pass on a busy machine says little about its size. All sizes together tell both.
"""

from __future__ import annotations

_FORGOTTEN = 1 / 200
"""Of what is known, with each pass."""
_ROUNDING = 1e-9
_SPREAD = 0.03
"""Variance of 1 / count over its mean squared, from which both are told apart well."""


class PassCost:
    """Knows nothing at first. Not thread-safe."""

    def __init__(self) -> None:
        self.last = 0
        """Inputs of the latest pass."""
        self._sums = 0.0, 0.0, 0.0, 0.0, 0.0
        """Weights, and weighted x, y, x², xy, where x is 1 / count and y the seconds an input."""

    @property
    def told_apart(self) -> bool:
        """Whether passes of more than one size were seen."""
        weight, x, _, xx, _ = self._sums
        return weight * xx - x * x > _ROUNDING * weight * xx

    @property
    def is_known(self) -> bool:
        """Whether passes of sizes that differ enough were seen lately."""
        weight, x, _, xx, _ = self._sums
        return self.told_apart and weight * xx / x**2 - 1 >= _SPREAD

    def saw(self, count: int, seconds: float) -> None:
        """A pass of so many inputs took so long."""
        weight, sum_x, sum_y, sum_xx, sum_xy = (own * (1 - _FORGOTTEN) for own in self._sums)
        x, y = 1 / count, seconds / count
        self._sums = weight + 1, sum_x + x, sum_y + y, sum_xx + x * x, sum_xy + x * y
        self.last = count

    def of_an_input(self, count: int) -> float:
        """Seconds an input among so many; neither part of them is ever negative."""
        price, each = self._parts()
        return each + price / count

    def _parts(self) -> tuple[float, float]:
        weight, x, y, xx, xy = self._sums
        if not self.told_apart:
            return 0.0, y / weight if weight else 0.0
        price = (weight * xy - x * y) / (weight * xx - x * x)
        if price <= 0:
            return 0.0, y / weight
        each = (y - price * x) / weight
        return (price, each) if each > 0 else (y / x, 0.0)
