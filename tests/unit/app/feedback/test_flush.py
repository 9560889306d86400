"""Whoever waits for the log waits for what was there, not for what keeps coming."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from app.core.live.rule import CurrentLog, PredictionLog
from app.core.messages import Call, Input, Options, Target
from app.feedback import recording
from app.infra.repositories.live.buffer import LoggedCall, PredictionBuffer

CALL = Call(
    id="pred_1",
    tenant="acme",
    target=Target(model="ft:a", backbone="b", artifact="", sha256=""),
    options=Options(),
    inputs=(Input("text", b"x"),),
)

LOG = CurrentLog("plog_1", PredictionLog())


def test_a_log_that_is_being_filled_is_flushed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = PredictionBuffer()
    services: Any = SimpleNamespace(prediction_log=buffer)
    written: list[LoggedCall] = []

    async def write(_services: Any, taken: Sequence[LoggedCall]) -> None:
        written.extend(taken)
        for _ in taken:
            buffer.offer("a", LOG, CALL, b"{}")

    monkeypatch.setattr(recording, "_written", write)
    for _ in range(200):
        buffer.offer("a", LOG, CALL, b"{}")
    asyncio.run(asyncio.wait_for(recording.flush(services), 30))
    assert 200 <= len(written) < 300
    assert len(buffer) == 200
