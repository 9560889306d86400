"""Real sockets on our connection: who asks by halves, who goes, and who never asks."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn

from app.http import connection
from app.http.gate import Receive, Scope, Send

ASK = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"


class Slow:
    """Answers after the seconds that the path names, unless its client goes before."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.told = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await receive()
        gone = asyncio.ensure_future(receive())
        done, _ = await asyncio.wait([gone], timeout=float(scope["path"][1:]))
        self.outcomes.append("gone" if done else "answered")
        self.told.set()
        gone.cancel()
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


@contextmanager
def serving(application: Slow) -> Iterator[tuple[str, int]]:
    config = uvicorn.Config(
        application, http=connection.ClientConnection, lifespan="off", log_level="error"
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[:2]
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_PATIENCE", 0.05)
    monkeypatch.setattr(connection, "_ECHO_SECONDS", 0.05)
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)


def everything(asked: socket.socket) -> bytes:
    asked.settimeout(10)
    return b"".join(iter(lambda: asked.recv(65536), b""))


@pytest.mark.parametrize(("seconds", "interim"), [(b"0", 0), (b"0.5", 1)])
def test_who_only_closes_the_sending_half_is_answered(
    brisk: None, seconds: bytes, interim: int
) -> None:
    with serving(Slow()) as address, socket.create_connection(address) as asked:
        asked.sendall(ASK % seconds)
        asked.shutdown(socket.SHUT_WR)
        heads = everything(asked).split(b"\r\n\r\n")
    assert [head[:12] for head in heads] == [b"HTTP/1.1 102"] * interim + [b"HTTP/1.1 200", b"ok"]


def test_who_goes_is_noticed(brisk: None) -> None:
    slow = Slow()
    with serving(slow) as address:
        with socket.create_connection(address) as asked:
            asked.sendall(ASK % b"20")
        assert slow.told.wait(10)
    assert slow.outcomes == ["gone"]


def test_a_head_that_does_not_come_is_answered_408(brisk: None) -> None:
    with serving(Slow()) as address, socket.create_connection(address) as asked:
        asked.sendall(b"GET /0 HTTP/1.1\r\nHo")
        assert everything(asked).startswith(b"HTTP/1.1 408")


def test_a_connection_serves_again_after_a_pause_longer_than_a_head_may_take(brisk: None) -> None:
    with serving(Slow()) as address, socket.create_connection(address) as asked:
        for _ in range(2):
            asked.sendall(ASK % b"0.4")
            answer = b""
            while not answer.endswith(b"ok"):
                answer += asked.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")
