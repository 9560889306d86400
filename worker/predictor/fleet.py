"""The loaded backbones, each with its batcher; more are loaded when a call asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

from worker.predictor.batching import Batcher


class Fleet:
    """`build(name)` loads a backbone and starts its batcher, on `executor` and for seconds.

    It raises HeadstartError (unknown_backbone, backbone_unavailable).
    """

    def __init__(self, build: Callable[[str], Batcher], *, executor: Executor) -> None:
        self._build, self._executor = build, executor
        self._batchers: dict[str, Batcher] = {}
        self._loading: dict[str, asyncio.Task[Batcher]] = {}
        self.ready = False

    def get(self, name: str) -> Batcher | None:
        """The batcher, if its backbone is loaded."""
        return self._batchers.get(name)

    async def load(self, name: str) -> Batcher:
        """The batcher, its backbone loaded if need be; concurrent callers share one load."""
        batcher = self._batchers.get(name)
        if batcher is not None:
            return batcher
        task = self._loading.get(name)
        if task is None:
            task = self._loading[name] = asyncio.create_task(self._add(name))
            task.add_done_callback(_heard)
        return await asyncio.shield(task)

    @property
    def waiting(self) -> int:
        """Inputs that no thread has begun, over all batchers."""
        return sum(batcher.waiting for batcher in self._batchers.values())

    def close(self) -> None:
        """Stop every batcher."""
        for batcher in self._batchers.values():
            batcher.close()

    async def _add(self, name: str) -> Batcher:
        try:
            loop = asyncio.get_running_loop()
            batcher = await loop.run_in_executor(self._executor, self._build, name)
        finally:
            del self._loading[name]
        self._batchers[name] = batcher
        return batcher


def _heard(task: asyncio.Task[Batcher]) -> None:
    if not task.cancelled():
        task.exception()
