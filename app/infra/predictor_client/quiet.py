"""A connection on which nothing is heard any more, while others are answered: of several replicas
behind one name its own may be frozen. The question is asked again on another connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from app.core.messages import ALIVE_SECONDS

_LOOKS = 5
"""So many looks without a byte are between four and five seconds, in which one that runs has said
so four times. Looks are counted, not seconds: they come late where this process is itself."""


class Listener(Protocol):
    """Who waits for bytes on a connection."""

    looks: int
    """Since the last of them came."""

    def ask_again(self) -> None:
        """Nothing comes here any more."""
        ...


class Quiet:
    """Looks after each connection on which somebody waits.

    `tells`: what a new connection has shown last, that a predictor says that it runs, and that
    nobody in between keeps it back. Otherwise silence means nothing.
    """

    def __init__(self) -> None:
        self.tells = False
        self._waiting: set[Listener] = set()
        self._watch: asyncio.Task[None] | None = None

    @contextmanager
    def waiting(self, listener: Listener) -> Iterator[None]:
        """`listener` waits for an answer meanwhile."""
        listener.looks = 0
        self._waiting.add(listener)
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._look())
        try:
            yield
        finally:
            self._waiting.discard(listener)

    def close(self) -> None:
        """Look no more."""
        if self._watch is not None:
            self._watch.cancel()

    async def _look(self) -> None:
        while self._waiting:
            await asyncio.sleep(ALIVE_SECONDS)
            for listener in tuple(self._waiting):
                listener.looks += 1
                if self.tells and listener.looks >= _LOOKS:
                    listener.ask_again()
        self._watch = None
