"""How many inputs ride in one pass: as many as wait, fewer where several tenants share an engine.

A large batch is fast for a flood, and holds up whoever comes meanwhile for as long as it takes. So
while more than one tenant asks, a batch is of the smallest size that costs the engine little, as
measured: 1 where its time is that of its inputs, more where a pass has a price of its own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import inf

from worker.predictor.pass_cost import PassCost

_SHARED_SECONDS = 30.0
"""An engine counts as shared for so long after two tenants have asked in turn."""
_PRICE = 1.25
"""What an input may cost in a smaller batch, over its cost in the largest one."""
_ALONE = 4
"""So many times its usual price may a batch take while one tenant asks alone: whoever comes first
beside it waits for one such pass, once."""
_TOGETHER = 8
"""So many share what a batch costs beside its inputs well: asking heads of one takes half as long
as of eight."""
_GATHERED_SECONDS = 0.002
"""The longest that who is decoded waits for those, and then only behind others anyway."""


class BatchSizes:
    """`sizes` are those that the engine has been warmed up for, ascending from 1.

    Every `now` is in seconds of one clock. Not thread-safe: whoever owns it holds a lock.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = tuple(sizes)
        self._cost = PassCost()
        self._last = ""
        self._shared_until = -inf

    @property
    def largest(self) -> int:
        """The most that ever ride together."""
        return self._sizes[-1]

    def asked(self, tenant: str, *, now: float) -> None:
        """Somebody asks."""
        if tenant != self._last:
            self._shared_until = now + _SHARED_SECONDS if self._last else -inf
            self._last = tenant

    def served(self, count: int, seconds: float) -> None:
        """So many inputs together kept the engine busy for `seconds`."""
        self._cost.saw(count, seconds)

    def gathers(self, ready: int, *, waited: float, now: float) -> bool:
        """Whether more had better be decoded before so many ride, the first of which has `waited`.

        Asked only while more waits: an engine that is faster than decoding would run lone inputs,
        each at the price of a batch. Where tenants share the engine nobody waits for others.
        """
        few = ready < min(_TOGETHER, self.largest)
        return few and waited < _GATHERED_SECONDS and now >= self._shared_until

    def pick(self, waiting: int, *, now: float) -> int:
        """How many of so many that wait ride together."""
        largest = bisect_right(self._sizes, waiting)
        if now >= self._shared_until:
            return self._sizes[largest - 1]
        return self._smallest(self._sizes[:largest])

    def most(self, waiting: int, price: int, *, now: float) -> tuple[int, int]:
        """How many of so many that wait, and that take as long as `price` usual ones, may ride
        together at most, and what those may take."""
        if now >= self._shared_until:
            return self.pick(waiting, now=now), _ALONE * self.largest
        size = self.pick(price, now=now)
        return size, size

    def _smallest(self, sizes: Sequence[int]) -> int:
        """The first that costs little; a neighbour while too few sizes have been seen to tell."""
        if not self._cost.told_apart:
            return sizes[-2] if sizes[-1] == self._cost.last and len(sizes) > 1 else sizes[-1]
        bearable = _PRICE * self._cost.of_an_input(sizes[-1])
        costs = map(self._cost.of_an_input, sizes)
        chosen = next(place for place, cost in enumerate(costs) if cost <= bearable)
        if not self._cost.is_known:
            chosen = chosen - 1 if chosen else min(1, len(sizes) - 1)
        return sizes[chosen]
