"""Heads in memory: loaded on demand, verified, least recently used first to go.

A head is keyed by its immutable artifact, never by an alias, so a swap needs nothing from here: the
app sends another key, and whoever holds the old head goes on holding it. Event loop's thread only.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Container, Iterator
from concurrent.futures import Executor
from typing import Generic, Protocol, TypeVar

from app.core.errors import HeadstartError
from app.core.messages import Target
from worker.predictor.metrics import Metrics

_MOST_PINS = 1000
_REMEMBER_FAILURE = 1.0
"""Seconds during which a head that failed to load is not read again."""


class Cacheable(Protocol):
    """What the cache must know of a head: the bytes it keeps in memory."""

    @property
    def nbytes(self) -> int: ...


H = TypeVar("H", bound=Cacheable)


class HeadCache(Generic[H]):
    """`load(target)` runs on `executor`; it raises HeadstartError (model_corrupt, …)."""

    def __init__(
        self, load: Callable[[Target], H], *, budget: int, executor: Executor, metrics: Metrics
    ) -> None:
        self._load, self._budget, self._executor = load, budget, executor
        self._metrics = metrics
        self._heads: OrderedDict[str, H] = OrderedDict()
        self._used: dict[str, float] = {}
        self._loading: dict[str, asyncio.Task[H]] = {}
        self._failures: dict[str, tuple[float, HeadstartError]] = {}
        self._pins: dict[str, str] = {}
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._heads)

    @property
    def pins(self) -> int:
        """How many aliases keep a head."""
        return len(self._pins)

    def peek(self, target: Target) -> H | None:
        """The head if it is in memory; it becomes the most recently used."""
        head = self._heads.get(_key(target))
        if head is not None:
            self._heads.move_to_end(_key(target))
            self._used[_key(target)] = time.monotonic()
        return head

    async def get(self, target: Target) -> H:
        """The head, loaded if need be; concurrent callers share one load."""
        head = self.peek(target)
        if head is not None:
            return head
        task = self._loading.get(_key(target))
        if task is None:
            task = self._loading[_key(target)] = asyncio.create_task(self._admit(target))
            task.add_done_callback(_heard)
        return await asyncio.shield(task)

    @property
    def artifacts(self) -> list[str]:
        """The folders of the heads in memory."""
        return [_artifact(key) for key in self._heads]

    def forget(self, artifacts: Container[str]) -> None:
        """Drop the heads of folders that are gone, pinned or not."""
        for key in [key for key in self._heads if _artifact(key) in artifacts]:
            self._drop(key)
        for name in [name for name, key in self._pins.items() if _artifact(key) in artifacts]:
            del self._pins[name]

    def follow(self, tenant: str, target: Target) -> None:
        """Keep the head for the pinned alias that was asked for; an unpinned one keeps none."""
        name = f"{tenant}/{target.alias}"
        if not target.pinned:
            self._pins.pop(name, None)
        elif self._pins.get(name) != _key(target):
            self._pin(name, target)

    def _pin(self, name: str, target: Target) -> None:
        self._pins.pop(name, None)  # so that it becomes the newest
        if len(self._pins) < _MOST_PINS:
            self._pins[name] = _key(target)

    async def _admit(self, target: Target) -> H:
        key = _key(target)
        try:
            self._recall_failure(key)
            loop = asyncio.get_running_loop()
            head = await loop.run_in_executor(self._executor, self._load, target)
        except HeadstartError as error:
            self._failures.setdefault(key, (time.monotonic() + _REMEMBER_FAILURE, error))
            raise
        finally:
            del self._loading[key]
        self._metrics.head_loads.inc()
        self._heads[key] = head
        self._used[key] = time.monotonic()
        self.nbytes += head.nbytes
        self._evict()
        return head

    def _recall_failure(self, key: str) -> None:
        now = time.monotonic()
        for known in [known for known, (until, _) in self._failures.items() if until < now]:
            del self._failures[known]
        if key in self._failures:
            raise self._failures[key][1]

    def oldest(self, *, newest_too: bool) -> float | None:  # noqa: ARG002 - it has callers
        """When the head that would make way next was last used; None: none would."""
        return next((self._used[key] for key in self._victims()), None)

    async def let_go(self, excess: int, *, before: float) -> bool:
        """Forget the least recently used, at least one, and of those last used `before` as many as
        have so many bytes; they are gone at once.
        """
        freed = 0
        for key in list(self._victims()):
            if freed and (freed >= excess or self._used[key] >= before):
                break
            freed += self._heads[key].nbytes
            self._forget(key)
        return True

    def _evict(self) -> None:
        """Forget the least recently used, but never a pinned one nor the newest."""
        if self.nbytes <= self._budget:
            return
        for key in list(self._victims()):
            self._forget(key)
            if self.nbytes <= self._budget:
                return

    def _victims(self) -> Iterator[str]:
        """Least recently used first, but never a pinned one nor the newest."""
        kept = self._held() | {next(reversed(self._heads), "")}
        return (key for key in self._heads if key not in kept)

    def _forget(self, key: str) -> None:
        self._drop(key)
        self._metrics.head_evictions.inc()

    def _drop(self, key: str) -> None:
        del self._used[key]
        self.nbytes -= self._heads.pop(key).nbytes

    def _held(self) -> set[str]:
        """The pinned heads, newest pins first, as far as half the budget goes."""
        held: set[str] = set()
        room = self._budget / 2
        for key in reversed(self._pins.values()):
            head = self._heads.get(key)
            if head is not None and key not in held and head.nbytes <= room:
                held.add(key)
                room -= head.nbytes
        return held


def _key(target: Target) -> str:
    return f"{target.artifact}\0{target.sha256}"


def _artifact(key: str) -> str:
    return key.partition("\0")[0]


def _heard(task: asyncio.Task[H]) -> None:
    """Whoever waited has been told; a load whose callers all left has nobody to tell."""
    if not task.cancelled():
        task.exception()
