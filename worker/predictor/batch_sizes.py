"""How many inputs ride in one pass: as many as wait, fewer where several tenants share an engine.

A large batch is fast for a flood, and holds up whoever comes meanwhile for as long as it takes. So
while more than one tenant asks, a batch is of the smallest size that costs the engine next to
nothing, as measured: 1 where its time is that of its inputs, more where a pass has a price of its
own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import inf

_SHARED_SECONDS = 30.0
"""An engine counts as shared for so long after two tenants have asked in turn."""
_PRICE = 1.1
"""What an input may cost in a smaller batch, over its cost in the best one."""
_TRUSTED_SECONDS = 10.0
"""A size that has not been seen for so long, for each input of it, is tried again."""
_NEWEST = 0.25
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
        self._costs: dict[int, tuple[float, float]] = {}
        """Of a size the seconds an input, and when it was last seen."""
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

    def served(self, count: int, seconds: float, *, now: float) -> None:
        """So many inputs together kept the engine busy for `seconds`."""
        cost = seconds / count
        if count in self._costs:
            former = self._costs[count][0]
            cost = former + _NEWEST * (cost - former)
        self._costs[count] = cost, now

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
        return self._smallest(self._sizes[:largest], now)

    def _smallest(self, sizes: Sequence[int], now: float) -> int:
        """The first that costs little or is to be tried, once the last of `sizes` is known."""
        known = {size: self._costs[size][0] for size in sizes if self._is_known(size, now)}
        if sizes[-1] not in known:
            return sizes[-1]
        bearable = _PRICE * min(known.values())
        return next(size for size in sizes if known.get(size, 0.0) <= bearable)

    def _is_known(self, size: int, now: float) -> bool:
        return size in self._costs and now - self._costs[size][1] < size * _TRUSTED_SECONDS
