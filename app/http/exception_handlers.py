"""From an error's code to HTTP: one status table, one shape (RFC 9457), one handler a source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.core.errors import TITLES, HeadstartError
from app.core.openai.problems import STATUSES
from app.http import error_shapes
from app.http.problems.pattern_words import words_of

log = structlog.get_logger()

FINAL_CONFLICTS = frozenset(
    {
        "invalid_transition",
        "in_use",
        "not_ready",
        "quota_exceeded",
        "replayed",
        "model_holds_example",
    }
)
"""What would be refused again, although its status says to try."""
_HTTP_CODES = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
}


def problem(error: HeadstartError, *, request_id: str) -> dict[str, Any]:
    """The problem document; `message` repeats `detail`, so that SDKs have something to print."""
    status = STATUSES[error.code]
    return {
        "type": f"urn:headstart:problem:{error.code}",
        "title": TITLES[error.code],
        "status": status,
        "detail": error.message,
        "message": error.message,
        "code": error.code,
        "param": error.param,
        "request_id": request_id,
        **error.extra,
    }


def problem_response(error: HeadstartError, scope: Mapping[str, Any]) -> Response:
    """The answer to a request's error, with the headers that its status asks for.

    Beside our own members it has those that the clients of the path read (`error_shapes`).
    """
    status = STATUSES[error.code]
    document = problem(error, request_id=scope["state"]["request_id"])
    document.update(error_shapes.told(error, status, scope["path"]))
    headers = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = 'Bearer realm="headstart"'
    if error.retry_after is not None or status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = str(math.ceil(error.retry_after or 1))
        headers["retry-after-ms"] = str(math.ceil(1e3 * (error.retry_after or 1)))
    if error.code in FINAL_CONFLICTS:
        headers["x-should-retry"] = "false"
    return Response(
        to_json(document),
        status_code=status,
        media_type="application/problem+json",
        headers=headers,
    )


def from_http(error: HTTPException) -> HeadstartError:
    """The router's own 404 and 405, in our words; or what broke the reading of a body."""
    if isinstance(error.__cause__, HeadstartError):
        return error.__cause__
    code = _HTTP_CODES.get(error.status_code, "bad_request")
    detail = str(error.detail) if error.status_code not in (404, 405) else None
    return HeadstartError(code, detail)


def _allowed(request: Request) -> list[str]:
    """Every method of the path; the router itself names only those of the first route it met."""
    methods = {
        method
        for route in iter_route_contexts(request.app.routes)
        if route.path_regex is not None and route.path_regex.match(request.scope["path"])
        for method in route.methods or ()
    }
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


def from_validation(error: RequestValidationError) -> HeadstartError:
    """The first thing that is wrong with a request, named by its path."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return HeadstartError("invalid_json", str(first.get("ctx", {}).get("error", first["msg"])))
    location = [str(part) for part in first["loc"]]
    param = ".".join(location[1:] if len(location) > 1 else location)
    message = message_of(first)
    return HeadstartError("invalid_request", f"{param}: {message}", param=param)


def message_of(told: Mapping[str, Any]) -> str:
    """What pydantic found, in words; a text is not told the pattern that it does not match."""
    if told["type"] == "string_pattern_mismatch" and (said := words_of(told["ctx"]["pattern"])):
        return said
    return str(told["msg"]).removeprefix("Value error, ")


def register(app: FastAPI) -> None:
    """Every error that can leave an endpoint."""

    @app.exception_handler(HeadstartError)
    async def known(request: Request, error: HeadstartError) -> Response:
        return problem_response(error, request.scope)

    @app.exception_handler(HTTPException)
    async def routed(request: Request, error: HTTPException) -> Response:
        answer = problem_response(from_http(error), request.scope)
        answer.headers.update(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            answer.headers["allow"] = ", ".join(_allowed(request))
        return answer

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return problem_response(from_validation(error), request.scope)
