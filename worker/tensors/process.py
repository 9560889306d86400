"""The tensor process: one warm child that embeds and fits, without a database.

It reads requests from its parent and answers with `{"id", "type": "begun" | "progress" | "event" |
"result" | "error" | "exception"}`. A `stop` takes effect between two batches of the current
request; when the parent goes away, so does the child, at once.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from app.core.errors import HeadstartError
from app.infra.telemetry import tracing
from app.infra.telemetry.logs import told
from worker.formats.channel import Message, MessageChannel

Report = Callable[[str, dict[str, Any]], None]
Stopped = Callable[[], bool]

QUIET_SECONDS = 0.5

log = structlog.get_logger(__name__)


class Handler(Protocol):
    """What a tensor process can do."""

    def handle(self, request: Message, report: Report) -> dict[str, Any]:
        """The result of one request. Raises HeadstartError."""

    def rest(self) -> None:
        """Nobody asks for anything: get ready for what may come, in small steps."""


class Inbox:
    """Reads the parent's messages in a thread, so that `stop` and its death are seen at once."""

    def __init__(self, channel: MessageChannel) -> None:
        self._channel = channel
        self.requests: queue.Queue[Message] = queue.Queue()
        self._stop, self._current = -1, 0
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def begin(self, request: Message) -> None:
        """From now on a stop means this request, even one that came before it was begun."""
        self._current = request["id"]

    def stopped(self) -> bool:
        """Whether the current request is to end."""
        return self._stop >= self._current

    def _read(self) -> None:
        try:
            while True:
                message = self._channel.receive()
                if message is None:
                    continue
                if message["op"] == "stop":
                    self._stop = message["id"]
                else:
                    self.requests.put(message)
        except (EOFError, OSError):
            os._exit(0)  # the parent is gone: whatever is being computed is nobody's any more


def serve(descriptor: int, make_handler: Callable[[Stopped], Handler]) -> None:
    """Answer requests until the parent goes away; `make_handler` may take its time."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a signal to the whole group is the parent's
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    channel = MessageChannel(descriptor)
    inbox = Inbox(channel)
    handler = make_handler(inbox.stopped)
    while True:
        try:
            request = inbox.requests.get(timeout=QUIET_SECONDS)
        except queue.Empty:
            rest(handler)
            continue
        inbox.begin(request)
        answer(channel, handler, request)


def tensors(stopped: Stopped) -> Handler:
    """The real handler; importing it takes seconds: torch, and all that hangs on it."""
    from worker.tensors.handler import Tensors

    return Tensors(stopped=stopped)


def rest(handler: Handler) -> None:
    """A step of preparation; if it fails, so will the request that it prepares for, and say so."""
    try:
        handler.rest()
    except Exception:  # whatever it is, it is nobody's request yet
        log.exception("a preparation failed")


def answer(channel: MessageChannel, handler: Handler, request: Message) -> None:
    """Handle one request; whatever happens, exactly one final message leaves."""

    def report(kind: str, body: dict[str, Any]) -> None:
        channel.send({"id": request["id"], "type": kind, **body})

    named = f"tensors {request['op']}"
    report("begun", {})
    with tracing.following(request.get("origin")), tracing.span(named) as current:
        _handle(handler, request, report, current)


def _handle(handler: Handler, request: Message, report: Report, current: tracing.TraceSpan) -> None:
    try:
        report("result", handler.handle(request, report))
    except HeadstartError as error:
        body = {"code": error.code, "message": error.message, "param": error.param}
        current.fail(error)
        report("error", body)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # panics of libraries, too; the parent counts them
        log.exception("a request failed", op=request["op"])
        current.fail(error)
        report("exception", {"message": told(error)})
