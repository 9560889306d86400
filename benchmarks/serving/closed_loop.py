"""A closed loop of clients, each of which asks again when it has been answered, without wrk.

In processes of its own, as one of Python's asks a few thousand times a second.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from urllib.parse import urlsplit

from benchmarks.serving.open_loop import Connection, percentile

Asked = tuple[str, Sequence[bytes], int, float]
"""Where, what, by how many clients, for how many seconds."""


def run(
    url: str, requests: Sequence[bytes], *, clients: int, seconds: float, processes: int
) -> dict[str, float]:
    """Requests a second, and how long they took. Raises SystemExit where one was not answered."""
    share = max(1, clients // processes)
    asked: Asked = (url, requests, share, seconds)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn) as pool:
        every = list(pool.map(_drive, [asked] * processes))
    took = sorted(second for one in every for second in one)
    if not took:
        raise SystemExit("no request was answered")
    return {
        "requests_per_second": round(len(took) / max(seconds, took[-1]), 1),
        "p50_ms": round(1e3 * percentile(took, 0.5), 2),
        "p99_ms": round(1e3 * percentile(took, 0.99), 2),
    }


def _drive(asked: Asked) -> list[float]:
    return asyncio.run(_clients(asked))


async def _clients(asked: Asked) -> list[float]:
    _, _, clients, seconds = asked
    end = time.perf_counter() + seconds
    every = await asyncio.gather(*(_client(asked, number, end) for number in range(clients)))
    return [second for one in every for second in one]


async def _client(asked: Asked, number: int, end: float) -> list[float]:
    url, requests, clients, _ = asked
    parts, loop = urlsplit(url), asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, parts.hostname or "", parts.port or 80)
    took: list[float] = []
    at = number * len(requests) // clients
    while (began := time.perf_counter()) < end:
        status, body = await connection.exchange(requests[at % len(requests)])
        if status != 200:
            raise SystemExit(f"{status}: {body[:200]!r}")
        took.append(time.perf_counter() - began)
        at += 1
    connection.transport.abort()
    return took
