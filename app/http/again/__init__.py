"""A request that others who wrote at once have spoiled is handled anew, so that it is answered as
one that came after them: by what is there now.

Only where nothing of it stands, and its body is there to be read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import structlog
from fastapi import Response
from sqlalchemy.exc import IntegrityError

from app.core.errors import HeadstartError
from app.http.strict_json import StrictRequest
from app.infra import collisions
from app.infra.database import pauses, undertaking

Handler = Callable[[StrictRequest], Awaitable[Response]]
log = structlog.get_logger(__name__)
_STACK = "fastapi_function_astack"
"""Where FastAPI keeps what a handler's dependencies do at its end, such as to commit."""


async def handled(handler: Handler, request: StrictRequest) -> Response:
    """The handler's answer, its dependencies' ends included."""
    for pause in pauses():
        with undertaking() as under_way:
            try:
                return await _tried(handler, request)
            except (HeadstartError, IntegrityError) as error:
                again = collisions.is_repeatable(error) or _has_vanished(error)
                if under_way.final or not (again and request.can_be_read_again):
                    raise
                log.info("a request is handled anew", reason=error)
        await asyncio.sleep(pause)
    return await _tried(handler, request)


def _has_vanished(error: Exception) -> bool:
    """Whether a file was not there that rows had named: it went, perhaps, with who named it."""
    return isinstance(error, HeadstartError) and isinstance(error.__cause__, FileNotFoundError)


async def _tried(handler: Handler, request: StrictRequest) -> Response:
    outer = request.scope[_STACK]
    try:
        async with AsyncExitStack() as stack:
            request.scope[_STACK] = stack
            return await handler(request)
    finally:
        request.scope[_STACK] = outer
