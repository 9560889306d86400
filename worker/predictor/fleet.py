"""The loaded networks, each with its batcher; more are loaded when a call asks for them.

A network is a backbone in one precision: a machine may hold a backbone in both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from app.core.modalities import Depth
from app.infra.precision import Precision, Precisions, precision_of
from worker.predictor.batching import Batcher

_Network = tuple[str, str]
"""Backbone and engine."""


class Fleet:
    """`build(name, precision)` loads a backbone and starts its batcher, on `executor`, for seconds.

    It raises HeadstartError (unknown_backbone, backbone_unavailable).
    """

    def __init__(
        self,
        build: Callable[[str, Precision], Batcher],
        *,
        executor: Executor,
        precisions: Precisions,
    ) -> None:
        self._build, self._executor = build, executor
        self.precisions = precisions
        self._batchers: dict[_Network, Batcher] = {}
        self._loading: dict[_Network, asyncio.Task[Batcher]] = {}
        self._rehearsed: dict[tuple[Batcher, Depth], asyncio.Task[None]] = {}
        self.ready = False

    def get(self, name: str, fitted: str = "") -> Batcher | None:
        """The batcher for what was fitted on the engine `fitted`, if its network is loaded."""
        return self._batchers.get((name, self.precisions.serving(fitted)))

    async def load(self, name: str, fitted: str = "") -> Batcher:
        """The batcher, its network loaded if need be; concurrent callers share one load."""
        network = name, self.precisions.serving(fitted)
        batcher = self._batchers.get(network)
        if batcher is not None:
            return batcher
        task = self._loading.get(network)
        if task is None:
            task = self._loading[network] = asyncio.create_task(self._add(network))
            task.add_done_callback(_heard)
        return await asyncio.shield(task)

    def is_rehearsed(self, batcher: Batcher, depth: Depth | None) -> bool:
        """Whether nothing has to be got ready for a network tuned so deep."""
        task = None if depth is None else self._rehearsed.get((batcher, depth))
        return depth is None or (task is not None and task.done())

    async def rehearse(self, batcher: Batcher, depth: Depth | None) -> None:
        """Get ready what networks tuned so deep read, once; concurrent callers share that, and it
        goes on when they have gone. Raises as a network that cannot be loaded or cut.
        """
        if depth is None:
            return
        task = self._rehearsed.get((batcher, depth))
        if task is None:
            task = asyncio.create_task(self._rehearse(batcher, depth))
            self._rehearsed[batcher, depth] = task
            task.add_done_callback(_heard)
        await asyncio.shield(task)

    @property
    def waiting(self) -> int:
        """Inputs that no thread has begun, over all batchers."""
        return sum(batcher.waiting for batcher in self._batchers.values())

    def close(self) -> None:
        """Stop every batcher."""
        for batcher in self._batchers.values():
            batcher.close()

    async def _add(self, network: _Network) -> Batcher:
        name, engine = network
        precision = precision_of(engine)
        assert precision is not None
        try:
            loop = asyncio.get_running_loop()
            batcher = await loop.run_in_executor(self._executor, self._build, name, precision)
        finally:
            del self._loading[network]
        self._batchers[network] = batcher
        return batcher

    async def _rehearse(self, batcher: Batcher, depth: Depth) -> None:
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._executor, batcher.rehearse, depth)
        except BaseException:
            del self._rehearsed[batcher, depth]  # whoever comes next tries again
            raise


def _heard(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
