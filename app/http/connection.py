"""uvicorn's connection with what it leaves out: bounds on heads, half-closed clients, one write.

`uvicorn --http app.http.connection:ClientConnection`; all else works without it, too.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, cast

import httptools
from pydantic_core import to_json
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.openai.problems import STATUSES
from app.http.exception_handlers import problem

HEAD_SECONDS = 20.0
"""From a request's first byte to the end of its head."""
HEAD_BYTES = 64 * 1024
"""Of a head, of trailers or of a chunk's extensions, in the reads of a socket before the last."""
_REFUSING_SECONDS = 1.0
"""What still comes of a head that is too large is read for so long, so that its answer arrives."""
_PATIENCE = 1.0
_PROBE_SECONDS = 10.0
_ECHO_SECONDS = 0.2
"""After a probe: a client that has gone answers it with a reset."""
_TCP_CLOSE = 7
_LATE = HeadstartError("request_timeout", "the request's head arrived too slowly")
_LARGE = HeadstartError("head_too_large", "send what is long in the body")
_NOT_HTTP = "Invalid HTTP request received."
_OF_UPGRADES = (b"upgrade", b"http2-settings")
_PROBE = b"HTTP/1.1 102 Processing\r\n\r\n"


class ClientConnection(HttpToolsProtocol):
    """One client's connection.

    A client may close its sending half once it has asked (RFC 9112, 9.6), and waits for its answer
    then. One that has gone altogether looks the same, until something is sent to it: so if the
    answer takes longer than a moment, an interim one goes before it (RFC 9110, 15.2).
    """

    _head: asyncio.TimerHandle | None = None
    _probe: asyncio.TimerHandle | None = None
    _refusing: asyncio.TimerHandle | None = None
    _declined = False
    """Whether the head that just came asks for another protocol."""
    _unheard = 0
    """Bytes that came since the parser last had a whole head, or any of a body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast("asyncio.Transport", _Gathered(transport, self.loop)))
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_clocks()

    def data_received(self, data: bytes) -> None:
        """Of what the parser only gathers, no more than HEAD_BYTES and a read of the socket."""
        if self._refusing is not None:
            return
        if self._unheard > HEAD_BYTES:
            self._refuse()
            return
        self._unheard += len(data)
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.logger.warning(_NOT_HTTP)
            self.send_400_response("this is no request of HTTP/1.1")

    def _parse(self, data: bytes) -> None:
        """Feed the parser; who offers another protocol (h2c, as Java's client does with its first
        request) is answered in this one (RFC 9110, 7.8), although the parser forgets its body.
        """
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if not self._declined:
                    return
                self._declined = False
                data = self._asked_again() + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            else:
                return

    def _asked_again(self) -> bytes:
        """The head that just came, without the offer."""
        version = self.parser.get_http_version().encode()
        line = b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, version)
        kept = [b"%s: %s\r\n" % pair for pair in _without_upgrade(self.headers)]
        return b"%s%s\r\n" % (line, b"".join(kept))

    def on_body(self, body: bytes) -> None:
        self._unheard = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unheard = 0
        if self._declined:
            return
        super().on_message_complete()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def on_headers_complete(self) -> None:
        self._unheard = 0
        if self._head is not None:
            self._head.cancel()
        offers = self.parser.should_upgrade() and any(n == b"upgrade" for n, _ in self.headers)
        self._declined = offers and self.parser.get_method() != b"CONNECT"
        if not self._declined:
            super().on_headers_complete()

    def on_response_complete(self) -> None:
        """A request whose body still comes is answered: nothing can follow on this connection."""
        if self.cycle.response_complete and self.cycle.more_body:
            self.transport.close()
        super().on_response_complete()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Whether the connection stays open: for the answer to a request that came as a whole."""
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            return None
        self.cycle.keep_alive = False
        self._probe = self.loop.call_later(_PATIENCE, self._ask)
        return True

    def _ask(self) -> None:
        cycle = self.cycle
        if cycle.response_complete or self.transport.is_closing():
            return
        if not cycle.response_started and cycle.scope["http_version"] == "1.1":
            self.transport.write(_PROBE)
        self._probe = self.loop.call_later(_ECHO_SECONDS, self._listen)

    def _listen(self) -> None:
        if _reset(self.transport):
            self.transport.abort()
        else:
            self._probe = self.loop.call_later(_PROBE_SECONDS, self._ask)

    def send_400_response(self, msg: str) -> None:
        self.transport.write(_refusal(HeadstartError("bad_request", msg)))
        self.transport.close()

    def _refuse(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_refusal(_LARGE))
        self._refusing = self.loop.call_later(_REFUSING_SECONDS, self.transport.close)

    def _head_is_late(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_refusal(_LATE))
            self.transport.close()

    def _stop_clocks(self) -> None:
        for clock in (self._head, self._probe, self._refusing, self.timeout_keep_alive_task):
            if clock is not None:
                clock.cancel()


def _refusal(error: HeadstartError) -> bytes:
    """The whole answer to a request of which the application never hears."""
    body = to_json(problem(error, request_id=new_id("req_")))
    status = HTTPStatus(STATUSES[error.code])
    head = (
        f"HTTP/1.1 {status} {status.phrase}\r\nconnection: close\r\n"
        f"content-type: application/problem+json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _without_upgrade(headers: list[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """The headers but those of an offered protocol; of `Connection` what else it says."""
    for name, value in headers:
        if name == b"connection":
            options = [one.strip() for one in value.lower().split(b",")]
            yield name, b", ".join(one for one in options if one not in _OF_UPGRADES)
        elif name not in _OF_UPGRADES:
            yield name, value


class _Gathered:
    """A transport that sends what is written in one turn of the loop together: head and body."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._waiting: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting and not self._transport.is_closing():
            self._transport.writelines(waiting)


def _reset(transport: asyncio.Transport) -> bool:
    """Whether the peer has answered with a reset; only Linux's TCP tells."""
    bound = cast("Any", transport.get_extra_info("socket"))
    if bound is None or bound.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    state = bound.getsockopt(socket.IPPROTO_TCP, getattr(socket, "TCP_INFO", 11), 1)
    return bool(state[0] == _TCP_CLOSE)
