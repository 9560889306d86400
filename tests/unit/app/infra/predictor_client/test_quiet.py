"""A question whose connection falls silent is asked again on another; whoever says that it runs, or
never says so, is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.core.errors import HeadstartError
from app.core.messages import Call, Options, Target
from app.infra import predictor_client
from app.infra.predictor_client import PredictorClient, quiet, silence
from worker.predictor import http
from worker.predictor.http import Connection, Exchange

Handle = Callable[[Exchange], None]


def call(seconds: float = 20.0) -> Call:
    target = Target(model="m", backbone="b", artifact="a", sha256="0")
    options = Options(timeout=seconds)
    return Call(id="p", tenant="a", target=target, options=options, inputs=())


class Frozen(asyncio.Protocol):
    """Is connected to, and says nothing."""


class Untold(Connection):
    """Of an earlier release, or behind somebody who keeps such words back."""

    def on_headers_complete(self) -> None:
        pass


def at_once(exchange: Exchange) -> None:
    exchange.respond(200, b"{}")


def slowly(exchange: Exchange) -> None:
    """After many looks."""
    looks = 3 * quiet._LOOKS * quiet.ALIVE_SECONDS
    asyncio.get_running_loop().call_later(looks, exchange.respond, 200, b"{}")


def connection(handle: Handle, kind: type[Connection] = Connection) -> Connection:
    return kind(handle, set(), max_body=10_000)


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "ALIVE_SECONDS", 0.05)
    monkeypatch.setattr(http, "ALIVE_SECONDS", 0.02)
    monkeypatch.setattr(silence, "_QUIET", 1000.0)


def with_turns(
    folder: Path,
    turns: list[Callable[[], asyncio.Protocol]],
    body: Callable[[PredictorClient], Awaitable[None]],
) -> int:
    """`body` with a client whose connections are met by these in turn, and all later ones by the
    last; how many there were.
    """
    made: list[asyncio.Protocol] = []

    def protocol() -> asyncio.Protocol:
        made.append(turns[min(len(made), len(turns) - 1)]())
        return made[-1]

    async def run() -> None:
        path = str(folder / "s.sock")
        server = await asyncio.get_running_loop().create_unix_server(protocol, path)
        client = PredictorClient(f"unix:{path}", limit=100)
        try:
            await asyncio.wait_for(body(client), 60)
        finally:
            await client.close()
            server.close()

    asyncio.run(run())
    return len(made)


async def _known(client: PredictorClient) -> None:
    """An exchange that shows that predictors tell; its connection is dropped, as it is in time."""
    assert (await client.predict(call())).status == 200
    client._drop_idle()


def test_who_is_on_a_frozen_one_s_connection_is_answered_by_another(tmp_path: Path) -> None:
    async def body(client: PredictorClient) -> None:
        await _known(client)
        assert (await client.predict(call())).status == 200

    turns = [lambda: connection(at_once), Frozen, lambda: connection(at_once)]
    assert with_turns(tmp_path, turns, body) == 4


def test_who_meets_only_silence_is_told_so(tmp_path: Path) -> None:
    async def body(client: PredictorClient) -> None:
        await _known(client)
        with pytest.raises(HeadstartError, match="fell silent") as raised:
            await client.predict(call())
        assert (raised.value.code, raised.value.retry_after) == ("predictor_unavailable", 1)

    turns = [lambda: connection(at_once), Frozen]
    assert with_turns(tmp_path, turns, body) == 1 + sum(predictor_client._ABREAST)


def test_one_that_says_that_it_runs_is_waited_for(tmp_path: Path) -> None:
    async def body(client: PredictorClient) -> None:
        await _known(client)
        answers = await asyncio.gather(*(client.predict(call()) for _ in range(3)))
        assert [answer.body for answer in answers] == [b"{}"] * 3
        assert (await client.predict(call())).body == b"{}", "on a kept connection, too"

    turns = [lambda: connection(at_once), lambda: connection(slowly)]
    assert with_turns(tmp_path, turns, body) == 4


def test_one_that_never_says_so_is_waited_for(tmp_path: Path) -> None:
    async def body(client: PredictorClient) -> None:
        await _known(client)
        assert (await client.predict(call())).body == b"{}"
        client._drop_idle()
        assert (await client.predict(call())).body == b"{}"

    turns = [lambda: connection(at_once, Untold), lambda: connection(slowly, Untold)]
    assert with_turns(tmp_path, turns, body) == 3


def test_the_call_s_time_is_not_begun_anew(tmp_path: Path) -> None:
    async def body(client: PredictorClient) -> None:
        await _known(client)
        with pytest.raises(HeadstartError) as raised:
            await client._post("/predict", [b""], 1.5 * quiet._LOOKS * quiet.ALIVE_SECONDS)
        assert raised.value.code == "deadline_exceeded"

    turns = [lambda: connection(at_once), Frozen]
    assert with_turns(tmp_path, turns, body) == 4


@pytest.mark.parametrize("late", [False, True])
def test_who_meets_the_frozen_one_again_has_asked_another_beside_it(
    tmp_path: Path, *, late: bool
) -> None:
    ended: list[bool] = []

    class Watched(Frozen):
        def connection_lost(self, _error: Exception | None) -> None:
            ended.append(True)

    async def body(client: PredictorClient) -> None:
        await _known(client)
        assert (await client.predict(call())).status == 200
        await asyncio.sleep(0.1)
        assert len(ended) == 2, "nothing is left asked"
        assert (await client.predict(call())).status == 200, "on the connection that answered"

    def good() -> Connection:
        return connection(slowly if late else at_once)

    turns = [lambda: connection(at_once), Watched, Watched, good]
    assert with_turns(tmp_path, turns, body) == 4


def test_what_is_refused_by_all_that_are_asked_at_once_is_told(tmp_path: Path) -> None:
    class Closing(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()

    async def body(client: PredictorClient) -> None:
        await _known(client)
        with pytest.raises(HeadstartError, match="cannot be reached"):
            await client.predict(call())

    turns = [lambda: connection(at_once), Frozen, Closing]
    assert with_turns(tmp_path, turns, body) == 4
