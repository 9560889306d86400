"""A lean HTTP/1.1 server for one kind of caller: the app's keep-alive connections.

It has no routing, no tasks and no streams: an exchange is handed over when its body is complete,
and answered with one write. A connection that closes tells its exchange, so that nothing is
computed for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

import httptools

from app.core.messages import ALIVE_HEADER, ALIVE_SECONDS, PRECISION_HEADER

_REASONS = {status.value: status.phrase for status in HTTPStatus}
JSON = "application/json"
BYTES = "application/octet-stream"
_ALIVE = ALIVE_HEADER.encode()
_STILL = b"HTTP/1.1 102 Processing\r\n\r\n"


class Exchange:
    """One request, and the means to answer it once.

    What waits for `on_close` mostly holds the exchange, too: it is dropped with the answer, so that
    bodies go at once and not when the garbage collector next looks at the oldest generation.
    """

    __slots__ = ("_connection", "body", "closed", "on_close", "path")

    def __init__(self, connection: Connection, *, path: str, body: bytes) -> None:
        self._connection = connection
        self.path, self.body = path, body
        self.closed = False
        self.on_close: Callable[[], None] | None = None

    def respond(
        self, status: int, body: bytes, *, kind: str = JSON, timing: str = "", precision: str = ""
    ) -> None:
        """Answer; does nothing once the client has gone. Only on the event loop's thread."""
        if not self.closed:
            self.closed, self.on_close = True, None
            extra = f"server-timing: {timing}\r\n" if timing else ""
            extra += f"{PRECISION_HEADER}: {precision}\r\n" if precision else ""
            self._connection.send(status, body, kind=kind, extra=extra)


Handler = Callable[[Exchange], None]


class Connection(asyncio.Protocol):
    """One keep-alive connection; it carries one exchange at a time."""

    def __init__(self, handler: Handler, connections: set[Connection], *, max_body: int) -> None:
        self._handler, self._connections, self._max_body = handler, connections, max_body
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._url = b""
        self._exchange: Exchange | None = None
        self._closing = False
        self._hears = False
        """Whether the request that is open is to be told that it is worked on."""
        self._beat: asyncio.TimerHandle | None = None
        self._has_beaten = False

    @property
    def idle(self) -> bool:
        """Whether no exchange is open."""
        return self._exchange is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._connections.discard(self)
        self._hears = False
        if self._beat is not None:
            self._beat.cancel()
        exchange, self._exchange = self._exchange, None
        if exchange is not None and not exchange.closed:
            exchange.closed = True
            on_close, exchange.on_close = exchange.on_close, None
            if on_close is not None:
                on_close()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._closing = True
            self.send(400, b'{"code":"bad_request","message":"not HTTP"}', kind=JSON, extra="")

    def on_message_begin(self) -> None:
        """A new request; one that comes before the last was answered ends the connection."""
        if self._exchange is not None and self._transport is not None:
            self._transport.abort()
        self._pieces, self._size, self._url = [], 0, b""
        self._hears = False

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, _value: bytes) -> None:
        self._hears = self._hears or name.lower() == _ALIVE

    def on_headers_complete(self) -> None:
        """Say at the first call that it is told; a timer that is set serves later ones, too."""
        if not self._hears:
            return
        if not self._has_beaten:
            self._has_beaten = True
            self._tell_alive()
        elif self._beat is None:
            self._beat = asyncio.get_running_loop().call_later(ALIVE_SECONDS, self._tell_alive)

    def _tell_alive(self) -> None:
        """Whoever waits hears that the process runs: one that is frozen cannot say so."""
        self._beat = None
        if self._hears and self._transport is not None and not self._transport.is_closing():
            self._transport.write(_STILL)
            self._beat = asyncio.get_running_loop().call_later(ALIVE_SECONDS, self._tell_alive)

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._max_body and self._transport is not None:
            self._transport.abort()
            return
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces = []
        self._closing = not self._parser.should_keep_alive()
        path = self._url.decode("latin-1")
        self._exchange = Exchange(self, path=path, body=body)
        self._handler(self._exchange)

    def send(self, status: int, body: bytes, *, kind: str, extra: str) -> None:
        """Write one whole answer."""
        self._exchange, self._hears = None, False
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        head = (
            f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\ncontent-type: {kind}\r\n"
            f"content-length: {len(body)}\r\n{extra}\r\n"
        )
        transport.writelines([head.encode("latin-1"), body])
        if self._closing:
            transport.close()

    def close(self) -> None:
        """Close now if idle, otherwise after the answer that is due."""
        self._closing = True
        if self.idle and self._transport is not None:
            self._transport.close()
