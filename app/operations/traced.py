"""A span a request, where traces are collected."""

from __future__ import annotations

from app.http.body import Message, Receive
from app.http.gate import Application, Scope, Send
from app.infra.telemetry import tracing

_PROBES = frozenset({"/livez", "/readyz", "/ping", "/health", "/metrics"})
_SERVER_ERROR = 500


class Traced:
    """ASGI middleware: spans are called by the route's template, never by the raw path."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, in a span of its own unless it is a probe."""
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self.app(scope, receive, send)
            return
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        method = scope["method"]
        told = {"http.request.method": method, "headstart.request.id": scope["state"]["request_id"]}
        with tracing.span(method, kind="server", **told) as current:
            try:
                await self.app(scope, receive, watch)
            finally:
                route = getattr(scope.get("route"), "path", "none")
                seen: dict[str, str | int] = {"http.route": route}
                current.name(f"{method} {route}", **seen, **{"http.response.status_code": status})
                if status >= _SERVER_ERROR:
                    current.fail(str(status))
