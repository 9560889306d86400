"""The lean server: what an exchange holds is gone with its answer."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.messages import ALIVE_HEADER
from worker.predictor import http
from worker.predictor.http import Connection, Exchange

REQUEST = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody"


class Waiting:
    """As a call does, it holds the exchange that holds it."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange, self.left = exchange, False
        exchange.on_close = self.leave

    def leave(self) -> None:
        self.left = True


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def exchanged(folder: Path, *, answer: bool) -> tuple[bool, list[bool]]:
    """Whether what waited is still there after the answer or the client's end; who heard of it."""
    seen: list[weakref.ref[Waiting]] = []
    heard: list[bool] = []

    def handle(exchange: Exchange) -> None:
        waiting = Waiting(exchange)
        seen.append(weakref.ref(waiting))
        if answer:
            exchange.respond(200, b"{}")

    async def run() -> None:
        path = str(folder / "s.sock")
        connections: set[Connection] = set()
        server = await asyncio.get_running_loop().create_unix_server(
            lambda: Connection(handle, connections, max_body=100), path
        )
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(REQUEST)
        if answer:
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        else:
            await asyncio.sleep(0.05)
            waiting = seen[0]()
            assert waiting is not None
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.05)
        if not answer:
            heard.append(waiting.left)
            del waiting
        server.close()

    asyncio.run(run())
    return seen[0]() is not None, heard


def test_what_waited_is_gone_with_the_answer(tmp_path: Path) -> None:
    assert exchanged(tmp_path, answer=True) == (False, [])


def test_what_waits_hears_of_a_client_that_leaves_and_is_gone(tmp_path: Path) -> None:
    assert exchanged(tmp_path, answer=False) == (False, [True])


@pytest.mark.parametrize("asked", [True, False])
def test_who_asks_for_it_hears_that_a_call_is_worked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    """At a connection's first call at once, of others where they take long."""
    monkeypatch.setattr(http, "ALIVE_SECONDS", 0.02)
    request = REQUEST
    if asked:
        request = REQUEST.replace(b"host: x", f"{ALIVE_HEADER.upper()}: 1".encode())

    def handle(exchange: Exchange) -> None:
        asyncio.get_running_loop().call_later(0.2, exchange.respond, 200, b"{}")

    async def run() -> list[list[bytes]]:
        path = str(tmp_path / "s.sock")
        server = await asyncio.get_running_loop().create_unix_server(
            lambda: Connection(handle, set(), max_body=100), path
        )
        reader, writer = await asyncio.open_unix_connection(path)
        heard = []
        for _ in range(2):
            writer.write(request)
            lines = [await reader.readline()]
            while not lines[-1].startswith(b"HTTP/1.1 200"):
                lines.append(await reader.readline())
            await reader.readuntil(b"{}")
            heard.append(lines[:-1])
        writer.close()
        server.close()
        return heard

    for lines in asyncio.run(run()):
        assert set(lines) == ({b"HTTP/1.1 102 Processing\r\n", b"\r\n"} if asked else set())
