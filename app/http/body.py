"""A request's body as it arrives: on a clock, inflated, and held to its limit."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from app.core.errors import HeadstartError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

ENCODINGS = ("gzip", "x-gzip", "deflate")
_PIECE = 256 * 1024
"""Bytes that are inflated at once, in about a millisecond: others are served in between."""
_MAGIC = 2
"""Bytes at the beginning that tell what follows."""
_MEMBERS = 10_000
_DRAIN_BYTES = 256 * 1024 * 1024
_DRAIN_SECONDS = 30.0
_DRAIN_IDLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How slowly a body may come: each byte earns time, and no silence is longer than `idle`."""

    grace_seconds: float = 20.0
    bytes_per_second: int = 1024
    idle_seconds: float = 60.0


class Body:
    """Counts and times what comes, since a chunked body declares nothing."""

    def __init__(self, receive: Receive, *, limit: int, pace: Pace) -> None:
        self._receive, self._limit, self._pace = receive, limit, pace
        self._seen = 0
        self._deadline = 0.0
        self.begun = False
        self.complete = False

    async def receive(self) -> Message:
        """The next message. Raises request_timeout, payload_too_large."""
        if self.complete:  # whoever asks now watches whether the client goes
            return await self._receive()
        loop, pace = asyncio.get_running_loop(), self._pace
        if not self.begun:
            self.begun, self._deadline = True, loop.time() + pace.grace_seconds
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            raise HeadstartError("request_timeout", "the body arrives too slowly") from error
        size = len(message.get("body", b""))
        earned = self._deadline + size / pace.bytes_per_second
        self._deadline = min(earned, max(self._deadline, loop.time() + pace.idle_seconds))
        self._seen += size
        self.complete = not message.get("more_body", False)
        if self._seen > self._limit:
            raise too_large(self._limit)
        return message


class Inflated:
    """A gzip or deflate body as what it stands for, never more than a piece of it at a time."""

    def __init__(self, receive: Receive, encoding: str) -> None:
        self._receive = receive
        self._deflate = encoding == "deflate"
        self._member: Any = None
        self._members = 0
        self._gone = self._over = False
        self._pieces = self._inflated()

    async def receive(self) -> Message:
        """The next message. Raises bad_request where it is not what it says, or is cut short."""
        if self._over:
            return await self._receive()
        piece = await anext(self._pieces, None)
        self._over = piece is None
        if self._gone:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece or b"", "more_body": not self._over}

    async def _inflated(self) -> AsyncIterator[bytes]:
        waiting, last = b"", False
        while not last:
            message = await self._receive()
            if message["type"] != "http.request":
                self._gone = True
                return
            last = not message.get("more_body", False)
            waiting += message.get("body", b"")
            if len(waiting) < _MAGIC and not last:
                continue
            for piece in self._inflate(waiting):
                yield piece
                await asyncio.sleep(0)
            waiting = b""
        if self._member is not None and not self._member.eof:
            raise _not_so("it is cut short")

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        try:
            while data:
                if self._member is None or self._member.eof:
                    self._member = self._begin(data)
                yield self._member.decompress(data, _PIECE)
                data = self._member.unconsumed_tail or self._member.unused_data
            while self._member is not None and (left := self._member.decompress(b"", _PIECE)):
                yield left
        except zlib.error as error:
            raise _not_so(str(error)) from error

    def _begin(self, data: bytes) -> Any:
        """One of gzip's members may follow another; `deflate` means zlib's wrapping, or none."""
        self._members += 1
        if self._members > _MEMBERS:
            raise _not_so(f"it has more than {_MEMBERS:,} members")
        bare = self._deflate and (data[0] & 15 != zlib.DEFLATED or int.from_bytes(data[:2]) % 31)
        return zlib.decompressobj(-zlib.MAX_WBITS if bare else zlib.MAX_WBITS | 32)


def _not_so(why: str) -> HeadstartError:
    said = f"the body is not what its Content-Encoding says: {why}"
    return HeadstartError("bad_request", said, param="content-encoding")


async def drain(receive: Receive) -> None:
    """Read on and drop, for a while: a connection that is closed on unread bytes is reset, and the
    client loses the answer that it was sent."""
    left = _DRAIN_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while left > 0:
                async with asyncio.timeout(_DRAIN_IDLE_SECONDS):
                    message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def too_large(limit: int) -> HeadstartError:
    """The body is above its limit."""
    return HeadstartError("payload_too_large", f"the body may have {limit:,} bytes at most")
