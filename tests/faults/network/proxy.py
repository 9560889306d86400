"""A TCP proxy on loopback between the service and a server, which misbehaves when it is told to.

`refuse`: nobody listens, and what was open is cut. `reset`: each connection is cut as it comes.
`stall`: connections stay open, and no byte moves. `slow`: bytes trickle. `pass`: nothing is wrong.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal
from urllib.parse import urlsplit

from tests.servers import free_port

Mode = Literal["pass", "refuse", "reset", "stall", "slow"]
FAULTS: tuple[Mode, ...] = ("refuse", "reset", "stall", "slow")
_PIECE = 2048
_PAUSE = 0.02
"""Seconds before each piece of a slow connection: about 100 kB/s."""
_CUT = struct.pack("ii", 1, 0)
"""SO_LINGER that makes the close a reset."""


class Proxy:
    """Forwards to one address; runs on an event loop of its own."""

    def __init__(self, host: str, port: int) -> None:
        self.port = free_port()
        self.mode: Mode = "pass"
        self._target = host, port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._flows.set()
        self._do(self._listen())

    def set(self, mode: Mode) -> None:
        """Behave like this from now on."""
        self._do(self._change(mode))

    def close(self) -> None:
        """Cut everything and end."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _do(self, step: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop).result(20)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _change(self, mode: Mode) -> None:
        self.mode = mode
        if mode in ("refuse", "reset"):
            self._cut_all()
        if mode == "refuse" and self._server is not None:
            self._server.close()
            self._server = None
        if mode != "refuse" and self._server is None:
            await self._listen()
        (self._flows.clear if mode == "stall" else self._flows.set)()

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        self._flows.set()
        self._cut_all()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _cut_all(self) -> None:
        for writer in list(self._open):
            _cut(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(OSError, asyncio.CancelledError):  # cancelled in the end only
            if self.mode == "reset":
                _cut(writer)
                return
            theirs, ours = await asyncio.open_connection(*self._target)
            self._open |= {writer, ours}
            try:
                await asyncio.gather(self._pump(reader, ours), self._pump(theirs, writer))
            finally:
                self._open -= {writer, ours}
                _cut(writer)
                _cut(ours)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_PIECE if self.mode == "slow" else 65536):
                if self.mode == "slow":
                    await asyncio.sleep(_PAUSE)
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
            writer.write_eof()


def _cut(writer: asyncio.StreamWriter) -> None:
    held = writer.get_extra_info("socket")
    if held is not None and not writer.is_closing():
        with suppress(OSError):
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CUT)
    writer.transport.abort()


@contextmanager
def between(url: str) -> Iterator[tuple[Proxy, str]]:
    """A proxy before the server of `url`, and the URL that goes through it."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = Proxy(parts.hostname, parts.port)
    try:
        yield proxy, url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{proxy.port}")
    finally:
        proxy.close()
