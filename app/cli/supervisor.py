"""The embedded footing: the app, a trainer and a predictor as children of one process.

A child that dies is started again, with a growing pause; SIGTERM and Ctrl-C drain them all.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from app.core.errors import HeadstartError
from app.infra.settings import Settings

_READY_SECONDS = 180.0
LONGEST_PAUSE = 30.0
HEALTHY_SECONDS = 90.0
"""A child that was started longer ago had run well: no pause is nearly as long."""


def pause(starts: int) -> float:
    """Seconds between a start and the next one, after so many that came to nothing."""
    return min(LONGEST_PAUSE, 2.0 ** min(starts - 1, 10))


@dataclass
class Child:
    """One process of ours, and when it may next be started."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    """In a row, none of which it survived for long."""
    started: float = 0.0
    not_before: float = 0.0

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it, in a process group of its own so that Ctrl-C reaches only the supervisor."""
        self.process = subprocess.Popen(  # noqa: S603
            self.command, env=dict(environment), start_new_session=True
        )
        before, self.started = self.started, time.monotonic()
        self.starts = 1 if self.started - before > HEALTHY_SECONDS else self.starts + 1
        self.not_before = self.started + pause(self.starts)

    def dead(self) -> bool:
        """Whether it is not running."""
        return self.process is None or self.process.poll() is not None


@dataclass
class Supervisor:
    """Runs the children until it is told to stop."""

    settings: Settings
    host: str
    port: int
    stopping: bool = False
    children: list[Child] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where the service answers."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return f"http://{host}:{self.port}"

    def start(self) -> None:
        """Start every child and wait until the app is ready; the workers may still be loading.

        Raises internal if a child ends before that, or after 180 s.
        """
        environment = os.environ | {
            "HEADSTART_DATA_DIR": str(self.settings.data_dir.resolve()),
            "PYTHONUNBUFFERED": "1",
        }
        self.children = [Child(name, command) for name, command in self._commands()]
        self._environment = environment
        for child in self.children:
            child.start(environment)
        self._wait_until_ready()

    def run(self) -> None:
        """Restart what dies, until stop() is called or a signal comes."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        while not self.stopping:
            for child in self.children:
                if child.dead() and time.monotonic() >= child.not_before:
                    child.start(self._environment)
            time.sleep(0.2)

    def stop(self) -> None:
        """Ask all children at once to drain; kill what outlasts the grace."""
        self.stopping = True
        for child in self.children:
            if not child.dead():
                assert child.process is not None
                child.process.terminate()
        deadline = time.monotonic() + self.settings.drain_seconds + 5
        for child in self.children:
            if child.process is not None:
                _end(child.process, deadline)

    def _commands(self) -> list[tuple[str, list[str]]]:
        python = sys.executable
        app = ["-m", "uvicorn", "app.main:app", "--host", self.host, "--port", str(self.port)]
        quiet = ["--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "10"]
        return [
            ("app", [python, *app, *quiet]),
            ("predictor", [python, "-m", "worker.predictor"]),
            ("trainer", [python, "-m", "worker.trainer"]),
        ]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not _answers(self.url + "/readyz"):
            for child in self.children:
                if child.dead() and child.process is not None:
                    self.stop()
                    raise HeadstartError(
                        "internal",
                        f"the {child.name} ended with status {child.process.returncode} before the"
                        " service was ready; what it printed above says why",
                    )
            if time.monotonic() > deadline:
                self.stop()
                raise HeadstartError("internal", "the service was not ready in time")
            time.sleep(0.05)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True


@contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Hold the data folder's lock, so that two services never share one folder."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HeadstartError(
                "in_use", f"another Headstart service is running on {data_dir}"
            ) from None
        yield


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _end(process: subprocess.Popen[bytes], deadline: float) -> None:
    try:
        process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
