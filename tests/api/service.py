"""The app alone, served by uvicorn on a loopback port: no trainer, no predictor."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from app.http.dependencies import Services
from app.infra.settings import Settings
from app.main import create_app


@dataclass(frozen=True)
class Service:
    """A running app and the connections that it holds itself."""

    url: str
    app: FastAPI
    settings: Settings

    @property
    def services(self) -> Services:
        """What the app's endpoints use."""
        found = self.app.state.services
        assert isinstance(found, Services)
        return found

    def client(self, key: str | None) -> httpx.Client:
        """A client with this key."""
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, verify=False)


class PromptServer(uvicorn.Server):
    """uvicorn's server, which ends at once when asked: hundreds of tests wait for it.

    The original looks ten times a second whether it should end, and sleeps a tenth of a second
    between telling its connections so and looking at what they do.
    """

    async def main_loop(self) -> None:
        """Serve until asked to end."""
        while not await self.on_tick(0):  # noqa: ASYNC110 - the flag is a plain one of uvicorn's
            await asyncio.sleep(0.01)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let what runs finish, then end the app."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.wait_for(
            self._wait_tasks_to_complete(), self.config.timeout_graceful_shutdown
        )
        await self.lifespan.shutdown()


@cache
def _described() -> dict[str, Any]:
    """What every app describes, made once: it takes a second or two."""
    return create_app(Settings()).openapi()


@contextmanager
def serve(settings: Settings) -> Iterator[Service]:
    """Serve the app in a thread of this process until the block ends."""
    app = create_app(settings)
    app.openapi = _described  # type: ignore[method-assign]
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        config = uvicorn.Config(
            app,
            http="app.http.connection:ClientConnection",
            proxy_headers=False,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=2,
        )
        server = PromptServer(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the app did not start"
                time.sleep(0.005)
            host, port = listener.getsockname()[:2]
            yield Service(f"http://{host}:{port}", app, settings)
        finally:
            server.should_exit = True
            thread.join()
