"""How the child is started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from worker.trainer import tensor_process
from worker.trainer.tensor_process import Stillness, environment


def test_the_child_finds_the_package_whatever_the_folder_it_starts_in() -> None:
    first = Path(environment()["PYTHONPATH"].split(os.pathsep)[0])
    assert (first / "worker" / "tensors" / "__main__.py").is_file()
    assert (first / "app").is_dir()


@pytest.mark.parametrize(
    ("code", "still"), [("while True: pass", False), ("import time; time.sleep(60)", True)]
)
def test_what_uses_no_time_is_told_from_what_computes(
    monkeypatch: pytest.MonkeyPatch, code: str, still: bool
) -> None:
    monkeypatch.setattr(tensor_process, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(tensor_process, "_STILL_LOOKS", 10)
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
    monkeypatch.setattr(tensor_process, "_LOOK_SECONDS", 0.0)
    gone = Stillness(None)
    assert not any(gone.is_certain() for _ in range(200))
