"""One connection to the predictor, which carries one call at a time; closing it tells the predictor
to stop computing.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from http import HTTPStatus
from math import inf
from typing import Any, cast

import httptools

from app.core.errors import HeadstartError
from app.core.messages import ALIVE_HEADER, PRECISION_HEADER, PREDICTION_HEADER

_TOLD, _UNTOLD = f"{ALIVE_HEADER}: 1\r\n", ""
_PRECISION = PRECISION_HEADER.encode()
SILENT = "the predictor has answered nobody for seconds; try again"
FELL_SILENT = "each predictor that was asked for this fell silent; try again"


@dataclass(frozen=True, slots=True)
class Answer:
    """The predictor's answer: JSON ready to be forwarded, its Server-Timing, and what computed it.

    `precision` is as `served_as` says it; `prediction` is the id that feedback names.
    """

    status: int
    body: bytes
    timing: str
    precision: str = ""
    prediction: str = ""
    wait: float | None = None
    """The seconds of `Prefer: wait` that it was asked with."""

    @property
    def headers(self) -> dict[str, str]:
        """What its caller is told beside it."""
        told = {"server-timing": self.timing, PRECISION_HEADER: self.precision}
        if self.wait is not None:
            told["preference-applied"] = f"wait={self.wait:.0f}"
        if self.prediction:
            told[PREDICTION_HEADER] = self.prediction
        return told


class StaleError(Exception):
    """The connection closed before one byte of an answer."""


class QuietError(Exception):
    """Nothing is heard on the connection any more."""


class PredictorConnection(asyncio.Protocol):
    """One to a predictor, or to whatever stands before several."""

    def __init__(self) -> None:
        self.looks = self.calls = 0
        self.has_told = False
        """Whether it was ever said on it that a call is worked on."""
        self._begun = False
        """Whether a byte of the answer has come, beyond such words."""
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._parser: Any = None
        self._body: list[bytes] = []
        self._timing = self._precision = ""
        self.until = inf

    @property
    def usable(self) -> bool:
        """Whether another exchange may begin."""
        open_yet = self._transport is not None and not self._transport.is_closing()
        return open_yet and time.monotonic() < self.until

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._fail(unavailable() if self._begun else StaleError())

    def time_out(self) -> None:
        """No answer in time."""
        self._fail(HeadstartError("deadline_exceeded", "the predictor took too long"))

    def silenced(self) -> None:
        """The predictor says nothing any more."""
        self._fail(unavailable(SILENT))

    def ask_again(self) -> None:
        """Nothing comes here any more."""
        self._fail(QuietError())

    def abort(self) -> None:
        """Close at once; the predictor sees that nobody waits any more."""
        if self._transport is not None:
            self._transport.abort()

    async def exchange(self, method: str, path: str, pieces: list[bytes | memoryview]) -> Answer:
        assert self._transport is not None
        self._waiter = asyncio.get_running_loop().create_future()
        self._parser, self._body, self._begun = None, [], False
        self.calls += method == "POST"
        self._timing = self._precision = ""
        length = sum(len(piece) for piece in pieces)
        told = _TOLD if method == "POST" else _UNTOLD
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: predictor\r\n{told}content-length: {length}\r\n\r\n"
        )
        self._transport.writelines([head.encode(), *pieces])
        return await self._waiter

    def data_received(self, data: bytes) -> None:
        self.looks = 0
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(unavailable())

    def on_message_begin(self) -> None:
        self._begun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == b"server-timing":
            self._timing = value.decode("latin-1")
        elif name == _PRECISION:
            self._precision = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == HTTPStatus.PROCESSING:
            self._begun, self.has_told = False, True
        elif self._waiter is not None and not self._waiter.done():
            body = b"".join(self._body)
            self._waiter.set_result(Answer(status, body, self._timing, self._precision))

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)


def unavailable(why: str = "the predictor cannot be reached; try again") -> HeadstartError:
    """What is told of a predictor that is not there, or says nothing."""
    return HeadstartError("predictor_unavailable", why, retry_after=1)
