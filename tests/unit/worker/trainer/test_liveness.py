"""A pulse that stops is noticed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from worker.trainer import liveness
from worker.trainer.liveness import STALE_SECONDS, Pulse


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADSTART_DATA_DIR", str(tmp_path))
    return tmp_path / "run"


def test_a_trainer_that_beats_is_alive(folder: Path) -> None:
    pulse = Pulse(folder)
    pulse.beat()
    assert liveness.main() == 0
    assert liveness.ages(folder)[os.getpid()] < 30


def test_without_a_trainer_nothing_is_alive(folder: Path) -> None:
    assert liveness.main() == 1


def test_a_trainer_that_ended_on_purpose_leaves_nothing(folder: Path) -> None:
    pulse = Pulse(folder)
    pulse.beat()
    pulse.end()
    assert liveness.main() == 1


def test_a_pulse_that_stopped_is_dead(folder: Path) -> None:
    Pulse(folder).beat()
    then = time.time() - STALE_SECONDS - 1
    for file in folder.iterdir():
        os.utime(file, (then, then))
    assert liveness.main() == 1


def test_a_folder_that_cannot_be_written_does_not_stop_the_work(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    Pulse(tmp_path / "run").beat()
