"""A process that computes, one that only waits, and one that is gone."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from app.infra.processes import stillness
from app.infra.processes.stillness import Stillness


@pytest.mark.parametrize(
    ("code", "still"), [("while True: pass", False), ("import time; time.sleep(60)", True)]
)
def test_what_uses_no_time_is_told_from_what_computes(
    monkeypatch: pytest.MonkeyPatch, code: str, still: bool
) -> None:
    monkeypatch.setattr(stillness, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(stillness, "LOOKS", 10)
    process = subprocess.Popen([sys.executable, "-S", "-c", code])
    try:
        time.sleep(0.3)
        seen = Stillness(process.pid)
        found = False
        for _ in range(40):
            time.sleep(0.05)
            found = found or seen.is_certain()
        assert found is still
    finally:
        process.kill()
        process.wait()


def test_of_a_process_that_is_gone_nothing_is_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stillness, "LOOK_SECONDS", 0.0)
    gone = Stillness(None)
    assert not any(gone.is_certain() for _ in range(200))
