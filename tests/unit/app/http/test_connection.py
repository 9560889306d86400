"""Real sockets on our connection: who asks by halves, who goes, and who never asks."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import uvicorn

from app.http import connection
from app.http.gate import Receive, Scope, Send

Application = Callable[[Scope, Receive, Send], Awaitable[None]]
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
def serving(application: Application) -> Iterator[tuple[str, int]]:
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
        assert told(everything(asked)) == (408, "request_timeout")


def test_a_connection_serves_again_after_a_pause_longer_than_a_head_may_take(brisk: None) -> None:
    with serving(Slow()) as address, socket.create_connection(address) as asked:
        for _ in range(2):
            asked.sendall(ASK % b"0.4")
            answer = b""
            while not answer.endswith(b"ok"):
                answer += asked.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")


def told(answer: bytes) -> tuple[int, str]:
    """The status and the code of a problem document."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert b"content-length: %d" % len(body) in head
    document = json.loads(body)
    assert document["request_id"].startswith("req_")
    assert head.startswith(b"HTTP/1.1 %d " % document["status"])
    return document["status"], document["code"]


async def counting(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads its body to the end, and says how long it was."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message["body"]), message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % size})


HUGE = b"x" * (8 << 20)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /0 HTTP/1.1\r\nHost: x\r\nx-one: " + HUGE,
        b"GET /0 HTTP/1.1\r\nHost: x\r\n" + b"x-many: y\r\n" * (len(HUGE) // 11),
        b"GET /0?" + HUGE,
    ],
    ids=["one header", "many headers", "the path"],
)
def test_a_head_without_end_is_refused(head: bytes) -> None:
    slow = Slow()
    with serving(slow) as address, socket.create_connection(address) as asked:
        with suppress(ConnectionError):
            asked.sendall(head)
        assert told(everything(asked)) == (431, "head_too_large")
    assert slow.outcomes == []


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n"])
def test_what_is_no_request_is_told_so(sent: bytes) -> None:
    with serving(Slow()) as address, socket.create_connection(address) as asked:
        asked.sendall(sent)
        assert told(everything(asked)) == (400, "bad_request")


def flood(asked: socket.socket, data: bytes) -> None:
    for _ in range(200):
        asked.sendall(data)
        time.sleep(0.02)


def test_trailers_without_end_are_refused() -> None:
    with serving(Slow()) as address, socket.create_connection(address) as asked:
        head = b"POST /5 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
        asked.settimeout(10)
        asked.sendall(head)
        with pytest.raises(ConnectionError):
            flood(asked, b"x-many: y\r\n" * 100_000)


def test_a_long_body_is_no_head() -> None:
    with serving(counting) as address, socket.create_connection(address) as asked:
        head = b"POST /0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        asked.sendall(head % len(HUGE) + HUGE)
        assert b"%d" % len(HUGE) in everything(asked)


def test_many_requests_on_one_connection_are_no_head() -> None:
    with serving(Slow()) as address, socket.create_connection(address) as asked:
        asked.settimeout(10)
        told = b""
        for _ in range(20):
            asked.sendall(b"GET /0 HTTP/1.1\r\nHost: x\r\nx: " + b"y" * 10_000 + b"\r\n\r\n")
            while not told.endswith(b"ok"):
                told += asked.recv(65536)
            told = b""


OFFER = (
    b"POST /0 HTTP/1.1\r\nHost: x\r\nConnection: %s\r\nUpgrade: %s\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nContent-Length: 70000\r\n\r\n"
)


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0"])
@pytest.mark.parametrize("pause", [0.0, 0.1])
def test_who_offers_another_protocol_keeps_its_body(pause: float, protocol: bytes) -> None:
    """As Java's HttpClient does, which speaks HTTP/2 where it can."""
    heads = [OFFER % (options, protocol) for options in (b"Upgrade, HTTP2-Settings", b"upgrade")]
    last = OFFER % (b"close, Upgrade", protocol)
    with serving(counting) as address, socket.create_connection(address) as asked:
        for head in (*heads, last):
            asked.sendall(head)
            time.sleep(pause)
            asked.sendall(b"x" * 70_000)
        told = everything(asked)
    assert told.count(b"HTTP/1.1 200") == 3
    assert told.count(b"70000") == 3


def test_many_offers_at_once_are_answered_one_after_another() -> None:
    head = OFFER.replace(b"70000", b"1") % (b"upgrade", b"h2c")
    last = b"GET /0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with serving(counting) as address, socket.create_connection(address) as asked:
        asked.sendall((head + b"x") * 100 + last)
        assert everything(asked).count(b"HTTP/1.1 200") == 101


def test_a_tunnel_is_no_offer() -> None:
    with serving(Slow()) as address, socket.create_connection(address) as asked:
        asked.sendall(
            b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"
        )
        asked.shutdown(socket.SHUT_WR)
        everything(asked)
        asked.close()
    with serving(counting) as address, socket.create_connection(address) as asked:
        asked.sendall(b"no HTTP\r\n\r\n")
        assert everything(asked).startswith(b"HTTP/1.1 400")
