"""A child that is on the leash ends with its parent, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PARENT = """
import os, subprocess, sys, time
from app.infra.processes.leash import leashed
obeys = "from app.infra.processes import leash; leash.obey()"
child = [sys.executable, "-c", f"{obeys}; import time; print(1, flush=True); time.sleep(60)"]
started = subprocess.Popen(child, env=leashed(os.environ), stdout=subprocess.PIPE)
if sys.argv[1] == "ready":
    started.stdout.read(1)
print(started.pid, flush=True)
time.sleep(60)
"""


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("when", ["ready", "at once"])
def test_it_ends_with_a_parent_that_is_killed(when: str) -> None:
    environment = os.environ | {"PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, when], env=environment, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert lives(child)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while lives(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not lives(child)


def test_without_a_leash_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    from app.infra.processes import leash

    monkeypatch.delenv("HEADSTART_LEASH", raising=False)
    leash.obey()
