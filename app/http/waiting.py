"""Waiting for a change without holding a thread, a session or a connection: one poller a process.

`Prefer: wait=N` (RFC 7240) and event streams all wait here. While nobody waits, nothing is polled.
"""

from __future__ import annotations

import asyncio
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Annotated, Any

import structlog
from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Header, Request, Response
from sqlalchemy import Engine

from app.infra.changes import (
    BATCH,
    EVENTS,
    JOB,
    PROMOTION,
    REQUESTS,
    RUN,
    VERSION,
    WORK,
    Changes,
    Tokens,
    Topic,
)

__all__ = [
    "BATCH",
    "EVENTS",
    "JOB",
    "PROMOTION",
    "REQUESTS",
    "RUN",
    "VERSION",
    "WORK",
    "Topic",
    "Waiting",
    "Wish",
    "WishDep",
    "asked_wait",
]

MAX_SECONDS = 300
_UNKNOWN = object()
_AWAY_SECONDS = 1.0
_WAIT = re.compile(r'(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})"?', re.IGNORECASE)
log = structlog.get_logger()

Done = Callable[[Any], bool]


class Watch:
    """One caller's eye on one row."""

    def __init__(self) -> None:
        self.token: Any = _UNKNOWN
        """The newest token; None where there is no such row."""
        self._news = asyncio.Event()

    def tell(self, token: Any) -> None:
        """The poller has seen `token`."""
        if token != self.token:
            self.token = token
            self._news.set()

    def wake(self) -> None:
        """Let the watcher go, although nothing has changed."""
        self._news.set()

    async def change(self, seconds: float) -> bool:
        """Whether there is news, waiting for it at most so long. The first look is news too."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)
        changed = self._news.is_set()
        self._news.clear()
        return changed


class Waiting:
    """The process's one poller and everybody who waits for it."""

    def __init__(self, engine: Engine) -> None:
        self._changes = Changes(engine)
        self._watches: dict[tuple[Topic, str], set[Watch]] = {}
        self._fresh = False
        self._task: asyncio.Task[None] | None = None
        self.stopping = False

    @contextmanager
    def watch(self, topic: Topic, row_id: str) -> Iterator[Watch]:
        """An eye on one row for as long as the block lasts."""
        watch = Watch()
        self._watches.setdefault((topic, row_id), set()).add(watch)
        self._fresh = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll())
        try:
            yield watch
        finally:
            self._forget((topic, row_id), watch)

    async def until(self, topic: Topic, row_id: str, *, done: Done, seconds: float) -> bool:
        """Wait at most so long until `done(token)`; answers whether it came to that."""
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        with self.watch(topic, row_id) as watch:
            while (left := end - clock()) > 0 and not self.stopping:
                if await watch.change(left) and done(watch.token):
                    return True
        return False

    def stop(self) -> None:
        """Let everybody go: the process is about to end. Waiters answer with what there is."""
        self.stopping = True
        for watches in self._watches.values():
            for watch in watches:
                watch.wake()

    async def close(self) -> None:
        """Stop, and let go of the connection."""
        self.stop()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._changes.close()

    def _forget(self, key: tuple[Topic, str], watch: Watch) -> None:
        watches = self._watches[key]
        watches.discard(watch)
        if not watches:
            del self._watches[key]

    async def _poll(self) -> None:
        limiter = CapacityLimiter(1)  # not one of the threads that slow requests may all hold
        while self._watches and not self.stopping:
            wanted, fresh = self._wanted(), self._fresh
            self._fresh = False
            look = partial(self._changes.look, wanted, fresh=fresh)
            try:
                self._tell(wanted, await to_thread.run_sync(look, limiter=limiter))
            except Exception as error:  # noqa: BLE001  # others wait on: it may be better soon
                log.warning("cannot look for changes", reason=error)
                self._fresh = True
                await asyncio.sleep(_AWAY_SECONDS)
            await asyncio.sleep(self._changes.interval)

    def _wanted(self) -> dict[Topic, list[str]]:
        wanted: dict[Topic, list[str]] = {}
        for topic, row_id in self._watches:
            wanted.setdefault(topic, []).append(row_id)
        return wanted

    def _tell(self, wanted: dict[Topic, list[str]], tokens: Tokens | None) -> None:
        if tokens is None:
            return
        for topic, ids in wanted.items():
            for row_id in ids:
                for watch in self._watches.get((topic, row_id), ()):
                    watch.tell(tokens.get((topic, row_id)))


class Wish:
    """What a request's `Prefer: wait=N` asks for; 0 seconds where it asks for nothing."""

    def __init__(self, request: Request, response: Response, seconds: float) -> None:
        self.seconds = seconds
        self._request = request
        self._response = response

    async def grant(self, waiting: Waiting, topic: Topic, row_id: str, *, done: Done) -> bool:
        """Wait as long as was asked for, or until the client has gone: whether it is done."""
        if not self.seconds:
            return False
        self._response.headers["preference-applied"] = f"wait={int(self.seconds)}"
        wait = asyncio.ensure_future(waiting.until(topic, row_id, done=done, seconds=self.seconds))
        gone = asyncio.ensure_future(_gone(self._request))
        try:
            await asyncio.wait((wait, gone), return_when=asyncio.FIRST_COMPLETED)
            return wait.done() and wait.result()
        finally:
            wait.cancel()
            gone.cancel()


@contextmanager
def let_go_on_signals(waiting: Waiting) -> Iterator[None]:
    """Let everybody go at SIGTERM and Ctrl-C, since a server that drains waits for its answers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def on_signal(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(waiting.stop)
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _wish(
    request: Request,
    response: Response,
    prefer: Annotated[
        str | None,
        Header(
            description=f"`wait=N`: answer when it is done, or after N seconds ({MAX_SECONDS} at "
            "most) with the state that it has by then (RFC 7240).",
            examples=["wait=5"],
        ),
    ] = None,
) -> Wish:
    return Wish(request, response, asked_wait(prefer or "") or 0.0)


def asked_wait(prefer: str) -> float | None:
    """The seconds of `Prefer: wait=N`, MAX_SECONDS at most; None where it says nothing of them."""
    match = _WAIT.search(prefer)
    return min(float(match[1]), MAX_SECONDS) if match else None


WishDep = Annotated[Wish, Depends(_wish)]
