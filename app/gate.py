"""The gate in front of every route: request id, key, size. It reads no byte of a body before the key.

It is plain ASGI because it runs on every request, predictions included, and costs a few microseconds.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog
from anyio import to_thread
from sqlalchemy.exc import DBAPIError
from starlette.datastructures import Headers, MutableHeaders

from app.accounts.service import Keyring
from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.exception_handlers import problem_response
from app.infra.database import translate

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

log = structlog.get_logger()
_OPEN = re.compile(r"/(livez|readyz|openapi\.json|docs(/.*)?)?")
_UPLOADS = re.compile(r"/v1/(datasets(/[^/]+/examples)?|files|batch_predictions)/?")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Gate:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: Application,
        *,
        keyring: Callable[[], Keyring],
        max_body: int,
        max_upload: int,
    ) -> None:
        self.app = app
        self.keyring = keyring
        self.max_body = max_body
        self.max_upload = max_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer with the problem."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers.get("x-request-id", ""))
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            await self._admit(scope, headers)
            body = _Counted(receive, self._limit(scope))
            await self.app(scope, body.receive, send_with_id)
        except HeadstartError as error:
            await _answer(error, request_id, started, scope, receive, send_with_id)
        except DBAPIError as error:
            await _answer(translate(error), request_id, started, scope, receive, send_with_id)
        except Exception as error:
            log.exception("unexpected error", request_id=request_id, path=scope["path"])
            if started:
                raise
            internal = HeadstartError("internal", "an unexpected error; quote the request_id")
            with contextlib.suppress(OSError):
                await _answer(internal, request_id, started, scope, receive, send_with_id)
            del error

    async def _admit(self, scope: Scope, headers: Headers) -> None:
        if not _OPEN.fullmatch(scope["path"]):
            scope["state"]["identity"] = await self._identify(headers.get("authorization", ""))
        declared = headers.get("content-length", "0")
        if not declared.isdigit() or int(declared) > self._limit(scope):
            raise _too_large(self._limit(scope))

    async def _identify(self, authorization: str) -> Any:
        keyring = self.keyring()
        return keyring.recall(authorization) or await to_thread.run_sync(
            keyring.look_up, authorization
        )

    def _limit(self, scope: Scope) -> int:
        upload = scope["method"] == "POST" and _UPLOADS.fullmatch(scope["path"])
        return self.max_upload if upload else self.max_body


class _Counted:
    """Counts a body's real bytes, since a chunked one declares none."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._limit, self._seen = receive, limit, 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > self._limit:
            raise _too_large(self._limit)
        return message


def _too_large(limit: int) -> HeadstartError:
    return HeadstartError("payload_too_large", f"the body may have {limit} bytes at most")


def _request_id(sent: str) -> str:
    return sent if _REQUEST_ID.fullmatch(sent) else new_id("req_")


async def _answer(
    error: HeadstartError,
    request_id: str,
    started: bool,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    if not started:
        await problem_response(error, request_id=request_id)(scope, receive, send)
