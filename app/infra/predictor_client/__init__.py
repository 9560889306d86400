"""The app's side of the hop to the predictor: keep-alive HTTP over a Unix socket or TCP.

Written on asyncio's protocols because this is the hot path.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import sample
from typing import Any
from urllib.parse import urlsplit

from app.core import messages
from app.core.errors import HeadstartError
from app.core.image_formats import small_pictures
from app.core.image_formats.small_pictures import SmallPictureCall, SmallPictureFacts
from app.core.messages import HEAVY, Call, Options, WaitTooLongError
from app.infra.precision import Precisions
from app.infra.predictor_client.connection import (
    FELL_SILENT,
    SILENT,
    Answer,
    PredictorConnection,
    QuietError,
    StaleError,
    unavailable,
)
from app.infra.predictor_client.door import Door, Served, countable, served_by
from app.infra.predictor_client.quiet import Quiet
from app.infra.predictor_client.silence import Silence
from app.infra.settings import Settings

__all__ = ["Answer", "PredictorClient", "open_predictor"]
_IDLE_CONNECTIONS = 256
_CONNECT_SECONDS = 3.0
_KEPT_SECONDS = 60.0
"""A connection by name is dialled again after this long, so that new replicas get their share."""
_PICTURE_SECONDS = 20.0
_ABREAST = (1, 2, 2)
"""So many connections are asked at once, after those before fell silent: for a quarter of a minute.
Of several replicas the next one by chance may be the frozen one again.
"""
_GRACE = 2.0
"""Seconds beyond a call's own deadline, so that the predictor's words arrive first."""


class PredictorClient:
    """One a process. Beyond a weight of `limit` under way, a tenant above its fair share is told
    `overloaded` before its body is read."""

    def __init__(self, address: str, *, limit: int) -> None:
        self._address = address
        self._limit = limit
        self._idle: list[PredictorConnection] = []
        self._open: Counter[str] = Counter()
        self._total = 0
        self._door = Door()
        self._silence = Silence(self._is_heard)
        self._quiet = Quiet()

    def turn_away(self, tenant: str, served: Served, options: Options, inputs: int) -> None:
        """Raise `overloaded` where the predictor has just said it of the same (`Door`)."""
        self._door.check(tenant, served, options, inputs)

    def admit(self, tenant: str) -> None:
        """Raise `overloaded` if so much is under way that `tenant` has no room for one more."""
        if self._total < self._limit:
            return
        share = self._limit / max(1, len(self._open) + (tenant not in self._open))
        if self._total >= 2 * self._limit or self._open[tenant] >= share:
            raise HeadstartError("overloaded", "too much is queued; try again", retry_after=1)

    async def predict(self, call: Call) -> Answer:
        """The answer to `call`. Raises what the predictor says, or predictor_unavailable."""
        self.admit(call.tenant)
        if not call.others:
            self.turn_away(call.tenant, served_by(call.target), call.options, countable(call))
        turned_away = self._door.turned_away(call)
        if turned_away[0]:
            call = replace(call, turned_away=turned_away)
        try:
            answer = await self._predict(call)
        except WaitTooLongError as refusal:
            self._door.shut(call, refusal)
            raise
        except BaseException:
            self._door.open(call.tenant)
            raise
        self._door.open(call.tenant)
        return answer

    async def _predict(self, call: Call) -> Answer:
        load = max(1, sum(item.weight for item in call.inputs))
        with self._under_way(call.tenant, load):
            seconds = call.options.timeout + _GRACE
            answer = _checked(await self._post("/predict", messages.encode(call), seconds))
        return replace(answer, wait=call.options.wait) if call.options.wait is not None else answer

    @contextmanager
    def reading(self, tenant: str) -> Iterator[Callable[[int], None]]:
        """Count a body while it is read: call what this gives with the bytes that have come.

        It counts what came and not what was announced, which may never come; and raises overloaded
        as soon as there is no room for more.
        """
        came = counted = 0

        def took(size: int) -> None:
            nonlocal came, counted
            came += size
            if came // HEAVY > counted:
                self.admit(tenant)
                self._count(tenant, came // HEAVY - counted)
                counted = came // HEAVY

        try:
            yield took
        finally:
            self._count(tenant, -counted)

    @contextmanager
    def _under_way(self, tenant: str, load: int) -> Iterator[None]:
        self._count(tenant, load)
        try:
            yield
        finally:
            self._count(tenant, -load)

    def _count(self, tenant: str, load: int) -> None:
        self._total += load
        self._open[tenant] += load
        if not self._open[tenant]:
            del self._open[tenant]

    async def load(self, call: Call) -> None:
        """Have the head of `call` verified and held in memory. Raises model_corrupt."""
        _checked(await self._post("/load", messages.encode(call), call.options.timeout))

    async def hold(self, call: Call) -> None:
        """Keep the head of `call` for its alias, or none where it is not pinned."""
        _checked(await self._post("/hold", messages.encode(call), call.options.timeout))

    async def small_picture(
        self, call: SmallPictureCall, data: bytes
    ) -> tuple[SmallPictureFacts, bytes]:
        """A small picture of the one in `data`. Raises what the predictor says of it."""
        pieces = small_pictures.encode(call, data)
        return small_pictures.read_facts(
            _checked(await self._post("/small-picture", pieces, _PICTURE_SECONDS)).body
        )

    async def precisions(self) -> Precisions:
        """What the predictor's machine computes in. Raises predictor_unavailable.

        Of several predictors behind one name it is one's.
        """
        told = _checked(await self._request("GET", "/precision", [], 2.0))
        return Precisions.read(told.body)

    async def metrics(self) -> bytes:
        """The predictor's metrics in Prometheus's format. Raises predictor_unavailable."""
        return (await self._request("GET", "/metrics", [], 5.0)).body

    async def ready(self) -> bool:
        """Whether the predictor answers and has its backbone."""
        try:
            return (await self._request("GET", "/readyz", [], 2.0)).status == 200
        except HeadstartError:
            return False

    async def close(self) -> None:
        """Close every idle connection."""
        self._silence.close()
        self._quiet.close()
        while self._idle:
            self._idle.pop().abort()

    async def _is_heard(self) -> bool:
        try:
            await self._request("GET", "/readyz", [], 2.0)
        except HeadstartError:
            return False
        return True

    async def _post(self, path: str, pieces: list[bytes | memoryview], seconds: float) -> Answer:
        if self._silence.is_known:
            raise unavailable(SILENT)
        return await self._request("POST", path, pieces, seconds)

    async def _request(
        self, method: str, path: str, pieces: list[bytes | memoryview], seconds: float
    ) -> Answer:
        """One exchange; on a connection that falls silent it is begun anew on a fresh one, since
        asking twice changes nothing: closing it ends what the first may have begun.
        """
        until = asyncio.get_running_loop().time() + seconds
        for many in _ABREAST:
            try:
                return await self._first(many, lambda: self._asked(method, path, pieces, until))
            except QuietError:
                self._drop_idle()
        raise unavailable(FELL_SILENT)

    async def _first(self, many: int, ask: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """The first answer of `many` that are asked at once; the others are let go of."""
        if many == 1:
            return await ask()
        asked = [asyncio.ensure_future(ask()) for _ in range(many)]
        failure: Exception = QuietError()
        try:
            for one in asyncio.as_completed(asked):
                try:
                    return await one
                except (QuietError, HeadstartError) as error:
                    failure = error
        finally:
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        raise failure

    def _drop_idle(self) -> None:
        """Kept connections may be to the same that is silent on another."""
        while self._idle:
            self._idle.pop().abort()

    async def _asked(
        self, method: str, path: str, pieces: list[bytes | memoryview], until: float
    ) -> Answer:
        """One exchange; a kept connection that the server closed meanwhile is replaced once."""
        while self._idle:
            kept = self._idle.pop()
            if kept.usable:
                try:
                    return await self._exchange(kept, method, path, pieces, until)
                except StaleError:
                    break
            kept.abort()
        fresh = await self._connect()
        try:
            return await self._exchange(fresh, method, path, pieces, until)
        except StaleError as error:
            raise unavailable() from error

    async def _exchange(
        self,
        connection: PredictorConnection,
        method: str,
        path: str,
        pieces: list[bytes | memoryview],
        until: float,
    ) -> Answer:
        loop = asyncio.get_running_loop()
        timer = loop.call_at(until, connection.time_out)
        try:
            if method == "GET":
                answer = await connection.exchange(method, path, pieces)
            else:
                answer = await self._heard(connection, path, pieces)
            self._silence.heard()
        except BaseException:
            connection.abort()
            raise
        finally:
            timer.cancel()
        if connection.usable and len(self._idle) < _IDLE_CONNECTIONS:
            self._idle.append(connection)
        else:
            connection.abort()
        return answer

    async def _heard(
        self, connection: PredictorConnection, path: str, pieces: list[bytes | memoryview]
    ) -> Answer:
        """The answer to a call; while it is waited for, it is heard whether anybody works on it."""
        with self._silence.waiting(connection), self._quiet.waiting(connection):
            answer = await connection.exchange("POST", path, pieces)
        if connection.calls == 1:
            self._quiet.tells = connection.has_told
        return answer

    async def _connect(self) -> PredictorConnection:
        loop = asyncio.get_running_loop()
        try:
            if self._address.startswith("unix:"):
                _, made = await loop.create_unix_connection(
                    PredictorConnection, self._address.removeprefix("unix:")
                )
            else:
                made = await self._dial()
        except (OSError, TimeoutError) as error:
            raise unavailable() from error
        return made

    async def _dial(self) -> PredictorConnection:
        """Any address of the host that answers: replicas behind one name share the connections."""
        loop, url = asyncio.get_running_loop(), urlsplit(self._address)
        async with asyncio.timeout(_CONNECT_SECONDS):
            addresses = await loop.getaddrinfo(
                url.hostname or "localhost", url.port or 80, type=socket.SOCK_STREAM
            )
        error: Exception = OSError(f"{url.hostname} has no address")
        for *_, address in sample(addresses, len(addresses)):
            host, port = str(address[0]), int(address[1])
            try:
                async with asyncio.timeout(_CONNECT_SECONDS / len(addresses)):
                    _, made = await loop.create_connection(PredictorConnection, host, port)
            except (OSError, TimeoutError) as failure:
                error = failure
            else:
                made.until = time.monotonic() + _KEPT_SECONDS
                return made
        raise error


def open_predictor(settings: Settings) -> PredictorClient:
    """The client of the predictor that the settings name; it connects when first used."""
    return PredictorClient(settings.predictor, limit=settings.predictor_queue)


def _checked(answer: Answer) -> Answer:
    """The answer, or its error raised. What a predictor of another release cannot read is nobody's
    fault: another replica may, or this one once it is replaced.
    """
    if answer.status == 200:
        return answer
    error = messages.read_error(answer.body)
    if error.code == "bad_request":
        why = "the predictor is of another release and cannot read this call; try again"
        raise HeadstartError("predictor_unavailable", why, retry_after=1) from error
    raise error
