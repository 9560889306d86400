"""What is written down of what anybody may cause."""

from __future__ import annotations

import logging

import pytest

from app.infra.telemetry import logs


def record(message: str, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("uvicorn.error", level, "", 0, message, (), None)


def test_a_warning_is_told_once_a_minute_with_how_many_there_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seldom, clock = logs.Seldom(), [100.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: clock[0])
    told = [seldom.filter(record("not HTTP")) for _ in range(5)]
    assert told == [True, False, False, False, False]
    assert seldom.filter(record("something else"))
    assert seldom.filter(record("not HTTP", logging.ERROR))
    clock[0] += 61
    again = record("not HTTP")
    assert seldom.filter(again)
    assert "4 more" in again.getMessage()
    clock[0] += 61
    last = record("not HTTP")
    assert seldom.filter(last)
    assert last.getMessage() == "not HTTP"


def test_the_servers_logger_has_one_bound_however_often_it_is_configured() -> None:
    for _ in range(3):
        logs.configure_logs("INFO")
    filters = logging.getLogger("uvicorn.error").filters
    assert len([one for one in filters if isinstance(one, logs.Seldom)]) == 1
