"""An open loop of requests: they leave at the appointed time, whether or not others have answered.

wrk waits for answers before it asks again, so it cannot overload a server or hold a rate. This
one costs about 60 µs a request, on the same cores as the server that it measures.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit


@dataclass(slots=True)
class Outcome:
    """One request: seconds since the start at which it was due, seconds it took, its status."""

    due: float
    took: float
    status: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`rate` a second, for `seconds`, at random (Poisson) or even intervals."""

    rate: float
    seconds: float
    even: bool = False
    seed: int = 0

    def times(self) -> list[float]:
        """When each request leaves, in seconds from the start."""
        chance, at, found = random.Random(self.seed), 0.0, []
        while at < self.seconds:
            found.append(at)
            at += 1 / self.rate if self.even else chance.expovariate(self.rate)
        return found


def http_request(
    path: str, key: str, body: bytes, *, kind: str = "image/jpeg", cache: str = "off"
) -> bytes:
    """A whole POST; not to be answered from the prediction cache unless `cache` is `on`."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n"
        f"content-type: {kind}\r\nx-headstart-cache: {cache}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def run(
    url: str,
    requests: Sequence[bytes],
    plan: Plan,
    *,
    check: Callable[[int, int, bytes], None] | None = None,
) -> list[Outcome]:
    """Send `requests` in turn; `check(number, status, body)` sees each answer (0: none)."""
    with _uncollected():
        return asyncio.run(_Loop(url, requests, check).run(plan))


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection: with torch imported one takes 70 ms, which the server would be given
    the blame for."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def run_async(
    url: str,
    requests: Sequence[bytes],
    plan: Plan,
    *,
    check: Callable[[int, int, bytes], None] | None = None,
) -> list[Outcome]:
    """The same on a running event loop."""
    return await _Loop(url, requests, check).run(plan)


class _Loop:
    def __init__(self, url: str, requests: Sequence[bytes], check: Any) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._requests, self._check = requests, check
        self._idle: list[Connection] = []
        self._outcomes: list[Outcome] = []

    async def run(self, plan: Plan) -> list[Outcome]:
        start, tasks = time.perf_counter(), []
        for number, due in enumerate(plan.times()):
            wait = start + due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.ensure_future(self._one(number, start, due)))
        await asyncio.gather(*tasks)
        for connection in self._idle:
            connection.transport.abort()
        return self._outcomes

    async def _one(self, number: int, start: float, due: float) -> None:
        request = self._requests[number % len(self._requests)]
        status, body = 0, b""
        try:
            connection = self._kept() or await self._connect()
            status, body = await connection.exchange(request)
            self._idle.append(connection)
        except OSError:
            pass
        self._outcomes.append(Outcome(due, time.perf_counter() - start - due, status))
        if self._check is not None:
            self._check(number, status, body)

    def _kept(self) -> Connection | None:
        """A kept connection that the server has not closed meanwhile."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(Connection, self._host, self._port)
        return made


class Connection(asyncio.Protocol):
    """One kept connection: a request, then its answer."""

    def __init__(self) -> None:
        self._waiter: asyncio.Future[tuple[int, bytes]] | None = None
        self._data = b""
        self._total = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Status and body."""
        self._waiter = asyncio.get_running_loop().create_future()
        self._data, self._total = b"", 0
        self.transport.write(request)
        return await self._waiter

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._total:
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._data[:end].lower()
            at = head.index(b"content-length:") + 15
            self._total = end + 4 + int(head[at:].split(b"\r\n", 1)[0])
        if len(self._data) >= self._total and self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            waiter.set_result(
                (int(self._data[9:12]), self._data[self._data.find(b"\r\n\r\n") + 4 :])
            )

    def connection_lost(self, _error: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionResetError())


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of `values` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
