"""Threads shared out by organisation: who asks for very much waits behind itself.

Everything here runs on the event loop.
"""

from __future__ import annotations

from weakref import WeakValueDictionary

from anyio import CapacityLimiter

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
