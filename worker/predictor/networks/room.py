"""The predictor's memory has a bound: what was used least lately makes way, heads and networks
alike, and what they had goes back to the system.

Nobody knows beforehand what a network takes: the buffers of its passes are far more than its
weights. So what is looked at is the process as a whole, as the system accounts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from worker.ml import memory

BESIDE = 2**30
"""Bytes of a predictor's own beside its heads' budget: libraries, networks, and their passes."""
NETWORK = 2**29
"""Bytes that are kept free for a network that is about to be loaded."""
PASSES = 2**28
"""Bytes that are kept free for passes, which take theirs and leave it between two looks."""
_WAIT, _STEP = 30.0, 0.1
"""How long others that are being loaded are waited for, and how often it is looked."""


class Holder(Protocol):
    """Who holds what can make way."""

    def oldest(self, *, newest_too: bool) -> float | None:
        """When that which would go next was last used (time.monotonic); None: nothing can go."""
        ...

    async def let_go(self, excess: int, *, before: float) -> bool:
        """Let go of that, and of more that was last used `before`, up to so many bytes; whether
        nobody has it any more.
        """
        ...


class Room:
    """Keeps the process within `bound` bytes of its own; the event loop's thread only.

    `own` and `give_back` are of the process; a `bound` of 0 is none.
    """

    def __init__(
        self,
        bound: int = 0,
        *,
        own: Callable[[], int] = memory.own,
        give_back: Callable[[], None] = memory.give_back,
    ) -> None:
        self.bound, self._own, self._give_back = bound, own, give_back
        self.holders: Sequence[Holder] = ()
        self._promised = 0
        self._turn = asyncio.Lock()

    async def keep(self) -> None:
        """Let go of all but the newest, least recently used first, until the process is within its
        bound; of what is free alone while room is being made for a network.
        """
        if self._excess(0) > 0:
            await asyncio.to_thread(self._give_back)
        if self._excess(0) > 0 and not self._turn.locked():
            async with self._turn:
                await self._made(0, newest_too=False)

    @asynccontextmanager
    async def for_network(self) -> AsyncIterator[bool]:
        """Room for one while it is loaded, in order of asking; False where what makes way is still
        in use, or others are being loaded. A network alone has room whatever it takes.
        """
        async with self._turn:
            has_room = await self._made(NETWORK, newest_too=True)
            self._promised += NETWORK
        try:
            yield has_room
        finally:
            self._promised -= NETWORK

    async def _made(self, more: int, *, newest_too: bool) -> bool:
        """Whether there are so many bytes more within the bound, or all has gone that can."""
        if self._excess(more) <= 0:
            return True
        await asyncio.to_thread(self._give_back)
        while (excess := self._excess(more)) > 0:
            ages = [(one.oldest(newest_too=newest_too), one) for one in self.holders]
            known = sorted(((age, one) for age, one in ages if age is not None), key=_age)
            if not known:
                return not self._promised or await self._comes(more)
            before = known[1][0] if len(known) > 1 else float("inf")
            is_free = await known[0][1].let_go(excess, before=before)
            await asyncio.to_thread(self._give_back)
            if not is_free:
                return False
        return True

    async def _comes(self, more: int) -> bool:
        """Whether others that are being loaded leave so much."""
        for _ in range(int(_WAIT / _STEP)):
            await asyncio.sleep(_STEP)
            if not self._promised or self._excess(more) <= 0:
                return True
        return False

    def _excess(self, more: int) -> int:
        """Bytes that are too many with so many more, and those that were promised to others."""
        promised = self._promised if more else 0
        return self._own() + promised + more + PASSES - self.bound if self.bound else 0


def _age(told: tuple[float, Holder]) -> float:
    return told[0]
