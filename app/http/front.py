"""What comes before the gate: the request as its client meant it, whatever lies in between.

An id for it, the prefix under which a proxy shows the service, either form of a trailing slash,
HEAD as GET without a body, and what trusted proxies say of the client (`network.forwarded`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextvars import ContextVar
from functools import partial

from starlette.datastructures import Headers, MutableHeaders

from app.core.ids import new_id
from app.http.body import Message, Receive
from app.http.gate import Application, Scope, Send
from app.http.network.forwarded import Trusted
from app.infra.telemetry import tracing

PREFIX: ContextVar[str] = ContextVar("prefix", default="")
"""What stands before a path within the service in the request that is answered."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

_GUARDS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""On every answer that does not say it itself (OWASP, REST Security Cheat Sheet): a browser is to
show it as what it is, in no frame of others, loading nothing."""


class Front:
    """The outermost ASGI middleware."""

    def __init__(self, app: Application, *, root_path: str, trusted: Sequence[str]) -> None:
        self.app = app
        self._root_path = root_path
        self._trusted = Trusted(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on the request in one form, and its answer in the form that was asked for."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told = dict(scope)  # the server's own stays as it is: it answers HEAD by it
        headers = Headers(scope=scope)
        forwarded = self._trusted.apply(told, headers)
        told["path"], told["root_path"] = _placed(scope, self._root_path or forwarded)
        request_id = _request_id(headers.get("x-request-id", ""))
        slash = scope["path"].endswith("/") and told["path"] != "/"
        told["state"] = {**scope.get("state", {}), "request_id": request_id, "slash": slash}
        PREFIX.set(told["root_path"])
        tracing.begin(request_id, headers.get("traceparent", ""))
        send = partial(_named, send, request_id, told["root_path"])
        if scope["method"] == "HEAD":
            told["method"] = "GET"
            send = _Headless(send).send
        await self.app(told, receive, send)


def link(path: str) -> str:
    """The path within the service as the client that is being answered has to ask for it."""
    return PREFIX.get() + path


def _placed(scope: Scope, prefix: str) -> tuple[str, str]:
    """The path within the service, and the prefix before it.

    A server that knows a prefix (`uvicorn --root-path`) puts it before the path; a proxy strips it
    or leaves it. What is left of it goes.
    """
    path, own = scope["path"], scope.get("root_path", "").rstrip("/")
    prefix = prefix or own
    path = _without(_without(path, own), prefix)
    return (path[:-1] if len(path) > 1 and path.endswith("/") else path or "/"), prefix


def _without(path: str, prefix: str) -> str:
    inside = prefix and (path == prefix or path.startswith(prefix + "/"))
    return path[len(prefix) :] if inside else path


async def _named(send: Send, request_id: str, prefix: str, message: Message) -> None:
    """Put the id on the answer, and what guards it; a link within the service gets the prefix."""
    if message["type"] == "http.response.start":
        own = {name for name, _ in message["headers"]}
        guards = [pair for pair in _GUARDS if pair[0] not in own]
        named = (b"x-request-id", request_id.encode())
        message["headers"] = [*message["headers"], named, *guards]
        headers = MutableHeaders(scope=message)
        if prefix and headers.get("location", "").startswith("/"):
            headers["location"] = prefix + headers["location"]
    await send(message)


class _Headless:
    """Ends an answer after its head: what else is sent goes nowhere."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._over = False

    async def send(self, message: Message) -> None:
        if self._over:
            return
        await self._send(message)
        if message["type"] == "http.response.start":
            self._over = True
            await self._send({"type": "http.response.body", "body": b""})


def _request_id(sent: str) -> str:
    return sent if _REQUEST_ID.fullmatch(sent) else new_id("req_")
