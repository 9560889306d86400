"""The gate in front of every route: key, encoding, size, pace. It reads no byte before the key.

It is plain ASGI because it runs on every request, predictions included, and costs microseconds.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect

from app.core.errors import HeadstartError
from app.core.texts import digits
from app.http.body import ENCODINGS, Body, Inflated, Message, Pace, Receive, drain, too_large
from app.http.exception_handlers import problem_response
from app.http.keyring import Keyring
from app.http.rates import RateHeaders, Rates
from app.infra.collisions import overtaken
from app.infra.database import translate
from app.infra.settings import MIB
from app.infra.storage import full_disk

__all__ = ["MAX_JSON", "Application", "Gate", "Message", "Receive", "Scope", "Send"]

Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

log = structlog.get_logger()
MAX_JSON = MIB
"""Of a body that has no inputs in it: nothing there is longer for a good reason."""
_OPEN = re.compile(
    r"/(livez|readyz|ping|health|version|v2/health/(live|ready)|openapi\.json|docs(/.*)?"
    r"|console/.*|guide(/.*)?)?"
)
_UPLOADS = re.compile(
    r"/v1/(datasets(/[^/]+/examples)?|files|uploads/[^/]+/parts|batch_predictions)"
)
_SIGNED = re.compile(r"/v1/hooks/[^/]+/trigger")
_INPUTS = re.compile(
    r"/v1/(models/[^/]+(/predictions|/calibrate|/feedback|:predict)|predictions|embeddings)"
    r"|/v1/(chat/completions|responses)|/label-studio/[^/]+/predict"
    r"|/v2/models/[^/]+(/versions/[^/]+)?/infer"
    r"|/models/[^/]+|(/tei/[^/]+)?/(predict|embed)|(/mlflow/[^/]+)?/invocations"
    r"|/customvision/[^/]+/(prediction/.*|training/projects/[^/]+/(images(/files)?|quicktest/(image|url)))"
)


class Gate:
    """ASGI middleware around the whole application; `app.http.front` lies before it."""

    def __init__(
        self,
        app: Application,
        *,
        keyring: Callable[[], Keyring],
        rates: Rates,
        max_body: int,
        max_upload: int,
        pace: Pace = Pace(),  # noqa: B008 - it is frozen
    ) -> None:
        self.app = app
        self.keyring = keyring
        self.rates = rates
        self.max_body = max_body
        self.max_upload = max_upload
        self.pace = pace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer with the problem."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = self._limit(scope)
        body = Body(receive, limit=limit, pace=self.pace)
        reply = _Reply(send, _Rest(headers, body, receive))
        try:
            await self._admit(scope, headers, limit)
            reply.headers, refused = await self._turn(scope)
            if refused is not None:
                raise refused
            await self.app(scope, self._opened(scope, headers, body), reply.send)
        except HeadstartError as error:
            await reply.say(error, scope, receive)
        except (OperationalError, InterfaceError) as error:
            await reply.say(translate(error), scope, receive)
        except ClientDisconnect:
            log.info("the client left", **_named(scope))
        except Exception as error:
            log.exception("unexpected error", **_named(scope))
            if reply.started:
                raise
            internal = HeadstartError("internal", "an unexpected error; quote the request_id")
            told = full_disk(error) or overtaken(error) or internal
            await reply.say(told, scope, receive)

    async def _admit(self, scope: Scope, headers: Headers, limit: int) -> None:
        if not _OPEN.fullmatch(scope["path"]) and not _is_signed(scope, headers):
            told = _authorization(scope, headers)
            scope["state"]["identity"] = await self.keyring().identify(told)
        declared = headers.get("content-length", "0")
        length = digits(declared)
        if length is None or length > limit:
            raise too_large(limit)

    async def _turn(self, scope: Scope) -> tuple[RateHeaders, HeadstartError | None]:
        """Count a request that predicts; what to tell of it, and the refusal of one too many."""
        if scope["method"] != "POST" or not _INPUTS.fullmatch(scope["path"]):
            return [], None
        identity = scope["state"]["identity"]
        return await self.rates.take(identity.organisation_id, identity.requests_per_minute)

    def _opened(self, scope: Scope, headers: Headers, body: Body) -> Receive:
        """How the application reads the body: as it came, or inflated, within the same limit."""
        told = headers.get("content-encoding", "").lower().split(",")
        encodings = [name.strip() for name in told if name.strip() not in ("", "identity")]
        if not encodings:
            return body.receive
        if len(encodings) > 1 or encodings[0] not in ENCODINGS:
            raise HeadstartError(
                "unsupported_media_type",
                "a body's Content-Encoding is gzip or deflate, or it comes uncompressed",
                param="content-encoding",
            )
        described = (b"content-encoding", b"content-length", b"transfer-encoding")
        kept = [pair for pair in scope["headers"] if pair[0] not in described]
        scope["headers"] = [*kept, (b"transfer-encoding", b"chunked")]
        inflated = Inflated(body.receive, encodings[0])
        return Body(inflated.receive, limit=self._limit(scope), pace=self.pace).receive

    def _limit(self, scope: Scope) -> int:
        return longest(scope, max_body=self.max_body, max_upload=self.max_upload)


def longest(scope: Scope, *, max_body: int, max_upload: int) -> int:
    """The most bytes that the body of such a request may have."""
    posted = scope["method"] == "POST"
    if posted and _INPUTS.fullmatch(scope["path"]):
        return max_body
    if posted and _UPLOADS.fullmatch(scope["path"]):
        return max_upload
    return min(MAX_JSON, max_body)


def _is_signed(scope: Scope, headers: Headers) -> bool:
    """Whether a call comes without a key and with a signature, which its route is to verify."""
    signed = "webhook-signature" in headers and "authorization" not in headers
    return signed and scope["method"] == "POST" and _SIGNED.fullmatch(scope["path"]) is not None


def _authorization(scope: Scope, headers: Headers) -> str:
    """The key's header; Custom Vision's clients have headers of their own for it."""
    if scope["path"].startswith("/customvision/"):
        key = headers.get("prediction-key") or headers.get("training-key")
        if key:
            return f"Bearer {key}"
    if scope["path"].startswith("/label-studio/"):
        return _of_label_studio(headers.get("authorization", ""))
    return headers.get("authorization", "")


def _of_label_studio(told: str) -> str:
    """Label Studio sends a user and a password, of which the password is the key; or a token."""
    scheme, _, value = told.partition(" ")
    if scheme.lower() == "token":
        return f"Bearer {value.strip()}"
    if scheme.lower() != "basic":
        return told
    try:
        user, _, password = b64decode(value.strip(), validate=True).decode().partition(":")
    except ValueError:
        return ""
    return f"Bearer {password or user}"


class _Rest:
    """What of a request's body nobody has read when its answer leaves."""

    def __init__(self, headers: Headers, body: Body, receive: Receive) -> None:
        self._headers, self._body, self._receive = headers, body, receive

    @property
    def comes(self) -> bool:
        """Whether there is any."""
        declared = "transfer-encoding" in self._headers or (
            self._headers.get("content-length", "0") != "0"
        )
        return declared and not self._body.complete

    @property
    def withheld(self) -> bool:
        """Whether the client sends it only once it is told to (`Expect: 100-continue`)."""
        expects = self._headers.get("expect", "").lower() == "100-continue"
        return self.comes and expects and not self._body.begun

    async def drop(self) -> None:
        """Read it, and forget it."""
        await drain(self._receive)


class _Reply:
    """The way back: knows whether an answer has begun, and lets it reach who still sends."""

    def __init__(self, send: Send, rest: _Rest) -> None:
        self._send, self._rest, self.started = send, rest, False
        self.headers: RateHeaders = []

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if self.headers:
                message = {**message, "headers": [*message["headers"], *self.headers]}
            if self._rest.withheld:  # what comes next could be the body, or another request
                MutableHeaders(scope=message)["connection"] = "close"
        elif not message.get("more_body", False) and self._rest.comes and not self._rest.withheld:
            await self._send({**message, "more_body": True})
            await self._rest.drop()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def say(self, error: HeadstartError, scope: Scope, receive: Receive) -> None:
        if not self.started:
            response = problem_response(error, scope)
            await response(scope, receive, self.send)


def _named(scope: Scope) -> dict[str, Any]:
    client = scope.get("client")
    return {
        "request_id": scope["state"]["request_id"],
        "method": scope["method"],
        "route": getattr(scope.get("route"), "path", None),  # a path may name what a caller has
        "client": client[0] if client else None,
    }
