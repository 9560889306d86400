"""Request bodies as strict JSON: no NaN, no NUL, no lone surrogates, no integers beyond 64 bits.

And no name with two values in one object.
"""

from __future__ import annotations

import json
from typing import Any

from anyio import to_thread
from fastapi import Request
from pydantic_core import from_json
from starlette.types import Message, Receive, Scope

from app.core.errors import HeadstartError
from app.core.json_objects import check_names

AT_ONCE = 256 * 1024
"""Bytes that are parsed in a millisecond or so; more would hold up whoever else is served."""
SHORT = 16 * 1024
"""Bytes that are parsed at once whatever they are: of brackets alone there may be many."""
MOST_VALUES = 100_000
"""In a long body: with more, the parser would hold up every thread for more than 50 ms. What is
long for a good reason is long texts and images."""
_MAX_INT = 2**63


class StrictJSONError(json.JSONDecodeError):
    """A body that is refused: the message names the fault and its place, where it has one."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault, "", 0)

    def __str__(self) -> str:
        return self.msg  # the base class adds a place, which is not the fault's


def parse(body: bytes) -> Any:
    """The value of `body`. Raises StrictJSONError."""
    if len(body) > AT_ONCE and _crowded(body):
        raise StrictJSONError(f"more than {MOST_VALUES:,} values")
    try:
        value = from_json(body, allow_inf_nan=False)
        if _checked(value) < body.count(b":"):  # each name has one, and texts may have more
            check_names(body)
    except ValueError as error:
        raise StrictJSONError(str(error)) from error
    return value


async def parsed(body: bytes) -> Any:
    """The same; of a long body in a thread. Raises StrictJSONError."""
    return parse(body) if len(body) <= SHORT else await to_thread.run_sync(parse, body)


def _crowded(body: bytes) -> bool:
    """Whether there are more than MOST_VALUES, by the commas and brackets that are in no string.

    It looks at a piece at a time, so that other threads get their turn in between.
    """
    count, inside, cut = 0, False, b""
    for start in range(0, len(body), AT_ONCE):
        piece = (cut + body[start : start + AT_ONCE]).replace(rb"\\", b"")
        cut = piece[-1:] if piece.endswith(b"\\") else b""  # half of an escape
        runs = piece.replace(rb"\"", b"").split(b'"')
        bare = b"".join(runs[inside::2])
        count += bare.count(b",") + bare.count(b"[") + bare.count(b"{")
        inside ^= len(runs) % 2 == 0
        if count > MOST_VALUES:
            return True
    return False


def _checked(value: Any) -> int:
    """How many names its objects have together. Raises StrictJSONError."""
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for key in value:
            _check_text(key)
        return len(value) + sum(map(_checked, value.values()))
    elif isinstance(value, list):
        return sum(map(_checked, value))
    elif isinstance(value, int) and not -_MAX_INT <= value < _MAX_INT:
        raise StrictJSONError("an integer does not fit in 64 bits")
    return 0


def _check_text(text: str) -> None:
    if fault := unkept(text):
        raise StrictJSONError(f"text {fault}")


def unkept(text: str) -> str:
    """Why Postgres cannot keep, or be asked for, a text; empty where it can."""
    if "\0" in text:
        return "holds a NUL character"
    try:
        text.encode()  # at the speed of C: a body may be megabytes of base64
    except UnicodeEncodeError:
        return "holds a lone surrogate"
    return ""


class StrictRequest(Request):
    """A request whose JSON is parsed strictly, and which knows whether it can be read anew."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        super().__init__(scope, self._counted)
        self._source, self._received = receive, False

    async def _counted(self) -> Message:
        self._received = True
        return await self._source()

    @property
    def can_be_read_again(self) -> bool:
        """Whether nothing of its body was read, or all of it is kept."""
        return not self._received or hasattr(self, "_body")

    async def json(self) -> Any:
        """The strictly parsed body."""
        if not hasattr(self, "_json"):
            self._json = await parsed(await self.body())
        return self._json


def require_json(request: Request) -> None:
    """Raise unsupported_media_type for a body that is not JSON."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    empty = request.headers.get("content-length", "") == "0" or not (
        "content-length" in request.headers or "transfer-encoding" in request.headers
    )
    if not empty and kind != "application/json" and not kind.endswith("+json"):
        raise HeadstartError(
            "unsupported_media_type", f"send application/json, not {kind or 'an unnamed type'}"
        )
