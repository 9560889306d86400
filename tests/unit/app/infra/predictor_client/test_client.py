"""The hop to the predictor where its name stands for several replicas."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from app.core.errors import HeadstartError
from app.core.messages import HEAVY, Call, Input, Options, Target
from app.infra import predictor_client
from app.infra.predictor_client import PredictorClient

REPLICAS = ("127.0.0.1", "127.0.0.2")
CANNOT_READ = b'{"code":"bad_request","message":"the predictor cannot read this call"}'
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
Seen = Counter[str]
Body = Callable[[PredictorClient, Seen], Awaitable[None]]


class Replica(asyncio.Protocol):
    """Answers what comes, a moment later; notes in `seen` that it was connected to."""

    def __init__(self, seen: Seen, answer: bytes) -> None:
        self._seen, self._answer = seen, answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._seen[transport.get_extra_info("sockname")[0]] += 1

    def data_received(self, _data: bytes) -> None:
        asyncio.get_running_loop().call_later(0.01, self._transport.write, self._answer)


def with_replicas(
    body: Body, alive: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, answer: bytes = OK
) -> None:
    """`body` with a client of `predictor`, a name of all REPLICAS; counts who was connected to."""

    async def run() -> None:
        seen: Seen = Counter()
        servers: list[asyncio.Server] = []
        port, loop = 0, asyncio.get_running_loop()
        for host in alive:
            servers.append(await loop.create_server(lambda: Replica(seen, answer), host, port))
            port = servers[-1].sockets[0].getsockname()[1]

        def resolve(_host: str, _port: int, *_: object, **__: object) -> list[object]:
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*kind, (address, port)) for address in REPLICAS]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        client = PredictorClient("http://predictor:8001", limit=100)
        try:
            await body(client, seen)
        finally:
            await client.close()
            await asyncio.sleep(0.02)  # so that the servers' ends close, too
            for server in servers:
                server.close()

    asyncio.run(run())


def test_replicas_share_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(client: PredictorClient, seen: Seen) -> None:
        assert all(await asyncio.gather(*(client.ready() for _ in range(40))))
        assert set(seen) == set(REPLICAS)

    with_replicas(body, REPLICAS, monkeypatch)


def test_a_replica_that_is_away_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(client: PredictorClient, seen: Seen) -> None:
        assert all(await asyncio.gather(*(client.ready() for _ in range(20))))
        assert set(seen) == {REPLICAS[1]}

    with_replicas(body, REPLICAS[1:], monkeypatch)


def test_a_connection_is_kept_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(client: PredictorClient, seen: Seen) -> None:
        assert await client.ready()
        assert await client.ready()
        assert seen.total() == 1
        monkeypatch.setattr(predictor_client, "_KEPT_SECONDS", -1.0)
        await client.close()
        assert await client.ready()
        assert await client.ready()
        assert seen.total() == 3

    with_replicas(body, REPLICAS, monkeypatch)


def test_bytes_under_way_fill_it_like_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(size: int) -> Call:
        target = Target(model="m", backbone="b", artifact="a", sha256="0")
        inputs = (Input("image", bytes(size)),)
        return Call(id="p", tenant="a", target=target, options=Options(), inputs=inputs)

    async def body(client: PredictorClient, _seen: Seen) -> None:
        over = asyncio.ensure_future(client.predict(call(99 * 256 * 1024)))
        await asyncio.sleep(0)
        with pytest.raises(HeadstartError, match="too much is queued"):
            client.admit("a")
        client.admit("b")
        assert (await over).status == 200
        client.admit("a")
        assert (await client.predict(call(200 * 256 * 1024))).status == 200

    with_replicas(body, REPLICAS[:1], monkeypatch)


def test_what_a_predictor_of_another_release_cannot_read_is_no_fault_of_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def body(client: PredictorClient, _seen: Seen) -> None:
        target = Target(model="m", backbone="b", artifact="a", sha256="0")
        asked = Call(id="p", tenant="a", target=target, options=Options(wait=1.0), inputs=())
        for ask in (client.predict, client.load, client.hold):
            with pytest.raises(HeadstartError, match="another release") as refused:
                await ask(asked)
            assert (refused.value.code, refused.value.retry_after) == ("predictor_unavailable", 1)

    head = f"HTTP/1.1 400 Bad Request\r\ncontent-length: {len(CANNOT_READ)}\r\n\r\n".encode()
    with_replicas(body, REPLICAS[:1], monkeypatch, head + CANNOT_READ)


def test_a_body_counts_while_it_is_read() -> None:
    client = PredictorClient("unix:/nowhere", limit=4)
    with client.reading("ours") as took:
        took(4 * HEAVY - 1)
        client.admit("ours")
        took(1)
        with pytest.raises(HeadstartError) as refused:
            client.admit("ours")
        client.admit("theirs")
    client.admit("ours")
    assert refused.value.code == "overloaded"


def test_a_body_that_finds_no_room_is_refused_on_the_way() -> None:
    client = PredictorClient("unix:/nowhere", limit=4)
    with client.reading("ours") as first, client.reading("ours") as second:
        first(3 * HEAVY)
        second(HEAVY)
        with pytest.raises(HeadstartError, match="too much is queued"):
            second(HEAVY)
    client.admit("ours")
