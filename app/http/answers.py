"""Answers of async routes, built and written off the event loop: some are long."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from anyio import to_thread
from fastapi import Response
from pydantic import BaseModel

Row = TypeVar("Row")


async def answer(
    show: Callable[[Row], BaseModel], row: Row, response: Response, *, status: int = 200
) -> Response:
    """What `show` says of `row`, with the headers that the request's `response` has by now."""
    body = await to_thread.run_sync(lambda: show(row).model_dump_json().encode())
    return Response(body, status, dict(response.headers), media_type="application/json")
