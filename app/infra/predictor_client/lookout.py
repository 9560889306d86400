"""Somebody who waits for an answer is looked after meanwhile, by one task for all of them."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Waits = TypeVar("Waits")


class Lookout(ABC, Generic[Waits]):
    """Looks every so often, for as long as somebody waits or there is `more` to look after."""

    def __init__(self) -> None:
        self._waiting: set[Waits] = set()
        self._watch: asyncio.Task[None] | None = None

    @contextmanager
    def waiting(self, waits: Waits) -> Iterator[None]:
        """Look after `waits` meanwhile."""
        self._waiting.add(waits)
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._run())
        try:
            yield
        finally:
            self._waiting.discard(waits)

    def close(self) -> None:
        """Look no more."""
        if self._watch is not None:
            self._watch.cancel()

    async def _run(self) -> None:
        while self._waiting or self.more:
            await asyncio.sleep(self.every)
            await self._look()
        self._watch = None

    @property
    def more(self) -> bool:
        """Whether to look where nobody waits."""
        return False

    @property
    @abstractmethod
    def every(self) -> float:
        """Seconds between two looks."""

    @abstractmethod
    async def _look(self) -> None:
        """What is to be seen, and told those who wait."""
