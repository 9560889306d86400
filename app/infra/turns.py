"""Threads shared out by organisation: who asks for very much waits behind itself.

Everything here runs on the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from weakref import WeakValueDictionary

from anyio import CapacityLimiter, to_thread

T = TypeVar("T")
AT_ONCE = 4
"""Of a process's threads (40, by default), those that one organisation's requests may hold."""


BUILDS_AT_ONCE = 4
"""Archives that a process takes in at once; they use the processor and the disk."""
OWN_BUILDS = 2
"""Those of one organisation, so that two slow ones do not stop all others' uploads."""


class Turns:
    """A limiter for each organisation that has requests under way."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._limiters: WeakValueDictionary[str, CapacityLimiter] = WeakValueDictionary()

    def of(self, organisation_id: str) -> CapacityLimiter:
        """The organisation's own, for `to_thread.run_sync(limiter=)` or `async with`."""
        limiter = self._limiters.get(organisation_id)
        if limiter is None:
            limiter = self._limiters[organisation_id] = CapacityLimiter(self._at_once)
        return limiter


class Builds:
    """The one way in to what takes an archive apart or writes a version anew.

    An organisation's own turn first, then everybody's, so that its many hold up no other's one.
    """

    def __init__(self) -> None:
        self._all = CapacityLimiter(BUILDS_AT_ONCE)
        self._own = Turns(OWN_BUILDS)

    @property
    def under_way(self) -> int:
        """How many are being made now."""
        return self._all.borrowed_tokens

    async def run(self, organisation_id: str, work: Callable[[], T]) -> T:
        """What blocking `work` answers, on a thread."""
        async with self._own.of(organisation_id):
            return await to_thread.run_sync(work, limiter=self._all)
