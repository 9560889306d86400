"""The gate in front of every route: id, key, encoding, size. It reads no byte before the key.

It is plain ASGI because it runs on every request, predictions included, and costs microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog
from anyio import to_thread
from sqlalchemy.exc import InterfaceError, OperationalError
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.texts import digits
from app.http.exception_handlers import problem_response
from app.http.keyring import Keyring
from app.infra.database import translate
from app.infra.settings import MIB

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

log = structlog.get_logger()
MAX_JSON = MIB
"""Of a body that has no inputs in it: nothing there is longer for a good reason."""
_OPEN = re.compile(r"/(livez|readyz|v2/health/(live|ready)|openapi\.json|docs(/.*)?)?")
_UPLOADS = re.compile(r"/v1/(datasets(/[^/]+/examples)?|files|batch_predictions)/?")
_INPUTS = re.compile(
    r"/v1/(models/[^/]+/predictions|embeddings)/?|/v2/models/[^/]+(/versions/[^/]+)?/infer/?"
)
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
        reply = _Reply(send, _request_id(headers.get("x-request-id", "")))
        scope.setdefault("state", {})["request_id"] = reply.request_id
        try:
            await self._admit(scope, headers)
            body = _CountedBody(receive, self._limit(scope))
            await self.app(scope, body.receive, reply.send)
        except HeadstartError as error:
            await reply.say(error, scope, receive)
        except (OperationalError, InterfaceError) as error:
            await reply.say(translate(error), scope, receive)
        except ClientDisconnect:
            log.info("the client left", request_id=reply.request_id, path=scope["path"])
        except Exception:
            log.exception("unexpected error", request_id=reply.request_id, path=scope["path"])
            if reply.started:
                raise
            internal = HeadstartError("internal", "an unexpected error; quote the request_id")
            await reply.say(internal, scope, receive)

    async def _admit(self, scope: Scope, headers: Headers) -> None:
        if not _OPEN.fullmatch(scope["path"]):
            scope["state"]["identity"] = await self._identify(headers.get("authorization", ""))
        if headers.get("content-encoding", "identity").lower() not in ("identity", ""):
            raise HeadstartError(
                "unsupported_media_type",
                "bodies are taken uncompressed: send none with a Content-Encoding",
                param="content-encoding",
            )
        declared = headers.get("content-length", "0")
        length, limit = digits(declared), self._limit(scope)
        if length is None or length > limit:
            raise _too_large(limit)

    async def _identify(self, authorization: str) -> Any:
        keyring = self.keyring()
        return keyring.recall(authorization) or await to_thread.run_sync(
            keyring.look_up, authorization
        )

    def _limit(self, scope: Scope) -> int:
        posted = scope["method"] == "POST"
        if posted and _INPUTS.fullmatch(scope["path"]):
            return self.max_body
        if posted and _UPLOADS.fullmatch(scope["path"]):
            return self.max_upload
        return min(MAX_JSON, self.max_body)


class _Reply:
    """The way back: puts the request id on the answer, and knows whether one has begun."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self.request_id, self.started = send, request_id, False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            MutableHeaders(scope=message)["x-request-id"] = self.request_id
        await self._send(message)

    async def say(self, error: HeadstartError, scope: Scope, receive: Receive) -> None:
        if not self.started:
            response = problem_response(error, scope)
            await response(scope, receive, self.send)


class _CountedBody:
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
