"""A predictor that says nothing any more, although its connections stay open: frozen, or cut off
without a word. Whoever waits is told so, and not kept until the deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

_QUIET = 3.0
"""Seconds without any answer, to anybody who waits, after which it is asked whether it is there."""
_EVERY = 1.0
_MISSED = 4
"""So many such questions in a row are left unanswered by one that is silent, not busy."""


class Waiter(Protocol):
    """Who waits for an answer."""

    def silenced(self) -> None:
        """There will be none for now."""
        ...


class Silence:
    """Looks after one predictor, or all replicas behind a name, while somebody waits for it.

    `ping` asks for anything and tells whether there was an answer, within seconds.
    """

    def __init__(self, ping: Callable[[], Awaitable[bool]]) -> None:
        self._ping = ping
        self._waiting: set[Waiter] = set()
        self._heard = 0.0
        self._watch: asyncio.Task[None] | None = None
        self.is_known = False
        """Whether it is known to be silent; it is asked again and again until it is not."""

    @contextmanager
    def waiting(self, waiter: Waiter) -> Iterator[None]:
        """`waiter` waits for an answer meanwhile."""
        if not self._waiting:
            self._heard = time.monotonic()
        self._waiting.add(waiter)
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._look())
        try:
            yield
        finally:
            self._waiting.discard(waiter)

    def heard(self) -> None:
        """Something was answered."""
        self._heard = time.monotonic()

    def close(self) -> None:
        """Look no more."""
        if self._watch is not None:
            self._watch.cancel()

    async def _look(self) -> None:
        missed = 0
        while self._waiting or self.is_known:
            await asyncio.sleep(_EVERY)
            if not self.is_known and time.monotonic() - self._heard < _QUIET:
                missed = 0
            elif await self._ping():
                missed, self.is_known = 0, False
            else:
                missed += 1
                if missed >= _MISSED:
                    self._tell()
        self._watch = None

    def _tell(self) -> None:
        self.is_known = True
        for waiter in tuple(self._waiting):
            waiter.silenced()
