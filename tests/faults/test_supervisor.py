"""`headstart up`, ended at any moment by any signal: nothing lives on, and the next one works. And
a process of it that hangs does not stay.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from app.cli import hung
from app.cli.embedded import start
from app.infra.processes import stillness
from app.infra.settings import Settings
from tests.faults.counts import FULL, times
from tests.servers import free_port, wait_for

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LATEST = 8.0
"""Seconds after which the service is mostly ready; the moments lie before."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def of(folder: Path) -> set[int]:
    """The processes whose environment or command names the folder."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if state != "Z" and os.fsencode(folder) in told:
            found.add(int(entry.name))
    return found


def up(folder: Path, port: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "app.cli", "up", "--port", str(port)]
    return subprocess.Popen(
        [*command, "--data-dir", str(folder)], stderr=subprocess.PIPE, text=True
    )


def greeted(started: subprocess.Popen[str]) -> bool:
    assert started.stderr is not None
    return any("Headstart is at" in line for line in started.stderr)


def test_nothing_outlives_the_supervisor(tmp_path: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # else children may ignore it
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # so they do below `nohup`
    port, draw = free_port(), random.Random(0)
    for turn in range(times(4, 100)):
        started = up(tmp_path, port)
        time.sleep(draw.uniform(0, LATEST))
        assert started.poll() is None, started.communicate()[1]
        started.send_signal(SIGNALS[turn % len(SIGNALS)])
        started.communicate(timeout=300)
        deadline = time.monotonic() + 5
        while of(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert of(tmp_path) == set(), SIGNALS[turn % len(SIGNALS)]
    again = up(tmp_path, port)
    try:
        assert greeted(again)
    finally:
        again.terminate()
        again.communicate(timeout=300)


@pytest.mark.parametrize("name", ["predictor", "trainer", "app"] if FULL else ["predictor"])
def test_a_process_that_hangs_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(stillness, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(hung, "_ASK_SECONDS", 1.0)
    supervisor = start(Settings(data_dir=tmp_path), host="127.0.0.1", port=free_port())
    running = threading.Thread(target=supervisor.run)
    try:
        running.start()
        child = next(one for one in supervisor.children if one.name == name)
        assert child.process is not None
        child.process.send_signal(signal.SIGSTOP)
        frozen = child.process.pid
        wait_for(lambda: child.process.pid != frozen, seconds=120)  # type: ignore[union-attr]
        wait_for(lambda: httpx.get(f"{supervisor.url}/readyz").status_code == 200, seconds=120)
        assert all(one.starts == 1 + (one is child) for one in supervisor.children)
    finally:
        supervisor.stop()
        running.join()
