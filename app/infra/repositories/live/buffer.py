"""Predictions on their way into the log: put down here by whoever answers, written by another."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from prometheus_client import Counter

from app.core.live.rule import CurrentLog
from app.core.messages import Call

_MOST_BYTES = 64 * 2**20
"""Of inputs that wait to be written; more are dropped, and counted."""
_LOGGED = Counter(
    "headstart_prediction_log_inputs",
    "Inputs of predictions that were drawn for a log, by what became of them.",
    ["outcome"],
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCall:
    """A call and the predictor's answer to it, drawn for the log of an alias."""

    alias: str
    log: CurrentLog
    call: Call
    body: bytes
    at: float = field(default_factory=time.time)

    @property
    def size(self) -> int:
        """Bytes that it holds in memory."""
        return len(self.body) + sum(len(item.data) for item in self.call.inputs)


class PredictionBuffer:
    """One a process; bounded: what finds no room is dropped, so that no answer ever waits."""

    def __init__(self) -> None:
        self._waiting: deque[LoggedCall] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self.writing = asyncio.Lock()
        """Held by whoever writes what was taken."""

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, alias: str, log: CurrentLog, call: Call, body: bytes) -> None:
        """Draw a call for the log, at its rule's rate."""
        if random.random() < log.rule.rate:
            self._add(LoggedCall(alias=alias, log=log, call=call, body=body))

    def _add(self, one: LoggedCall) -> None:
        with self._lock:
            if self._bytes + one.size > _MOST_BYTES:
                counted("dropped", len(one.call.inputs))
                return
            self._waiting.append(one)
            self._bytes += one.size

    def take(self, most: int) -> list[LoggedCall]:
        """The oldest calls, of together about `most` inputs, at least one; none if none waits."""
        taken: list[LoggedCall] = []
        with self._lock:
            count = 0
            while self._waiting and (not taken or count + len(self._waiting[0].call.inputs) < most):
                taken.append(self._waiting.popleft())
                self._bytes -= taken[-1].size
                count += len(taken[-1].call.inputs)
        return taken

    def give_back(self, taken: list[LoggedCall]) -> None:
        """They could not be written now."""
        with self._lock:
            self._waiting.extendleft(reversed(taken))
            self._bytes += sum(one.size for one in taken)


def counted(outcome: str, inputs: int) -> None:
    """Count inputs by what became of them: written, dropped, unwanted, over_quota,
    without_embedding."""
    _LOGGED.labels(outcome).inc(inputs)
