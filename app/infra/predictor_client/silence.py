"""A predictor that says nothing any more, although its connections stay open: frozen, or cut off
without a word. Whoever waits is told so, and not kept until the deadline."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from app.infra.predictor_client.lookout import Lookout

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


class Silence(Lookout[Waiter]):
    """Looks after one predictor, or all replicas behind a name, while somebody waits for it.

    `ping` asks for anything and tells whether there was an answer, within seconds.
    """

    def __init__(self, ping: Callable[[], Awaitable[bool]]) -> None:
        super().__init__()
        self._ping = ping
        self._heard = 0.0
        self._missed = 0
        self.is_known = False
        """Whether it is known to be silent; it is asked again and again until it is not."""

    @contextmanager
    def waiting(self, waits: Waiter) -> Iterator[None]:
        """`waits` waits for an answer meanwhile."""
        if not self._waiting:
            self._heard = time.monotonic()
        with super().waiting(waits):
            yield

    def heard(self) -> None:
        """Something was answered."""
        self._heard = time.monotonic()

    @property
    def every(self) -> float:
        """Seconds between two questions."""
        return _EVERY

    @property
    def more(self) -> bool:
        """What is known to be silent is asked until it is not."""
        return self.is_known

    async def _look(self) -> None:
        if not self.is_known and time.monotonic() - self._heard < _QUIET:
            self._missed = 0
        elif await self._ping():
            self._missed, self.is_known = 0, False
        else:
            self._missed += 1
            if self._missed >= _MISSED:
                self._tell()

    def _tell(self) -> None:
        self.is_known = True
        for waiter in tuple(self._waiting):
            waiter.silenced()
