"""The loaded networks, each with its batcher; more are loaded when a call asks for them.

A network is a backbone in one precision: a machine may hold a backbone in both. Where memory has a
bound, those used least lately make way: no new call is given them, and they end with their last.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from typing import Any

from app.core.errors import HeadstartError
from app.core.modalities import Depth
from app.infra.precision import Precision, Precisions, precision_of
from worker.ml.engines import tunable
from worker.predictor.batching import Batcher
from worker.predictor.networks.room import Room

_DRAINS, _LOOK = 30.0, 0.02
"""Seconds that calls have to let go of a network that makes way, and how often it is looked."""
_AGAIN = 1.0
"""Seconds after which there may be room for a network."""
_Network = tuple[str, str]
"""Backbone and engine."""


class Fleet:
    """`build(name, precision)` loads a backbone and starts its batcher, on `executor`, for seconds.

    It raises HeadstartError (unknown_backbone, backbone_unavailable). `users` are the batchers of
    calls that are not over, which no thread stops under them.
    """

    def __init__(
        self,
        build: Callable[[str, Precision], Batcher],
        *,
        executor: Executor,
        precisions: Precisions,
        room: Room | None = None,
    ) -> None:
        self._build, self._executor = build, executor
        self._room = room or Room()
        self.precisions = precisions
        self.users: Callable[[], Collection[Batcher]] = tuple
        self._batchers: dict[_Network, Batcher] = {}
        self._used: dict[_Network, float] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._loading: dict[_Network, asyncio.Task[Batcher]] = {}
        self._rehearsed: dict[tuple[Batcher, Depth], asyncio.Task[None]] = {}
        self.ready = False

    def get(self, name: str, fitted: str = "") -> Batcher | None:
        """The batcher for what was fitted on the engine `fitted`, if its network is loaded."""
        network = name, self.precisions.serving(fitted)
        batcher = self._batchers.get(network)
        if batcher is not None:
            self._used[network] = time.monotonic()
        return batcher

    async def load(self, name: str, fitted: str = "") -> Batcher:
        """The batcher, its network loaded if need be; concurrent callers share one load.

        Raises overloaded where there is no room for it yet, and as `build`.
        """
        network = name, self.precisions.serving(fitted)
        batcher = self.get(name, fitted)
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

    def oldest(self, *, newest_too: bool) -> float | None:
        """When the network that would make way next was last used; None: none would."""
        if len(self._batchers) < (1 if newest_too else 2):
            return None
        return min(self._used.values())

    async def let_go(self, excess: int, *, before: float) -> bool:  # noqa: ARG002
        """Let the network go that was used least lately; whether its calls have."""
        network = min(self._used, key=self._used.__getitem__)
        batcher = self._batchers.pop(network)
        del self._used[network]
        others = {known: task for known, task in self._rehearsed.items() if known[0] is not batcher}
        self._rehearsed = others
        task = asyncio.create_task(self._end(batcher))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        last = weakref.ref(batcher)
        del batcher
        deadline = time.monotonic() + _DRAINS
        while last() is not None and time.monotonic() < deadline:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_LOOK)  # the thread that ended it may have it for a moment
        return last() is None

    def close(self) -> None:
        """Stop every batcher."""
        for batcher in self._batchers.values():
            batcher.close()

    async def _add(self, network: _Network) -> Batcher:
        name, engine = network
        precision = precision_of(engine)
        assert precision is not None
        try:
            async with self._room.for_network() as has_room:
                if not has_room:
                    told = "there is no room for another network yet; try again"
                    raise HeadstartError("overloaded", told, retry_after=_AGAIN)
                loop = asyncio.get_running_loop()
                batcher = await loop.run_in_executor(self._executor, self._build, name, precision)
                self._batchers[network] = batcher
                self._used[network] = time.monotonic()
        finally:
            del self._loading[network]
        return batcher

    async def _end(self, batcher: Batcher) -> None:
        """Stop its threads once no call has it, and forget what its models alone have read."""
        while batcher in self.users():  # noqa: ASYNC110 - calls end without telling
            await asyncio.sleep(_LOOK)
        await asyncio.get_running_loop().run_in_executor(self._executor, batcher.close)
        tunable.let_go()

    async def _rehearse(self, batcher: Batcher, depth: Depth) -> None:
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._executor, batcher.rehearse, depth)
        except BaseException:
            self._rehearsed.pop((batcher, depth), None)  # whoever comes next tries again
            raise


def _heard(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
