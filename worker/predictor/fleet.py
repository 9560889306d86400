"""The backbones that are loaded, each with its lane; more are loaded when a call asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

from worker.predictor.batching import Lane


class Fleet:
    """`build(name)` loads a backbone and starts its lane; it runs on `executor`, takes seconds, and
    raises HeadstartError (unknown_backbone, backbone_unavailable)."""

    def __init__(self, build: Callable[[str], Lane], *, executor: Executor) -> None:
        self._build, self._executor = build, executor
        self._lanes: dict[str, Lane] = {}
        self._loading: dict[str, asyncio.Task[Lane]] = {}
        self.ready = False

    def get(self, name: str) -> Lane | None:
        """The lane, if its backbone is loaded."""
        return self._lanes.get(name)

    async def load(self, name: str) -> Lane:
        """The lane, its backbone loaded if need be; concurrent callers share one load."""
        lane = self._lanes.get(name)
        if lane is not None:
            return lane
        task = self._loading.get(name)
        if task is None:
            task = self._loading[name] = asyncio.create_task(self._add(name))
            task.add_done_callback(_heard)
        return await asyncio.shield(task)

    @property
    def waiting(self) -> int:
        """Inputs that no thread has begun, over all lanes."""
        return sum(lane.waiting for lane in self._lanes.values())

    def close(self) -> None:
        """Stop every lane."""
        for lane in self._lanes.values():
            lane.close()

    async def _add(self, name: str) -> Lane:
        try:
            loop = asyncio.get_running_loop()
            lane = await loop.run_in_executor(self._executor, self._build, name)
        finally:
            del self._loading[name]
        self._lanes[name] = lane
        return lane


def _heard(task: asyncio.Task[Lane]) -> None:
    if not task.cancelled():
        task.exception()
