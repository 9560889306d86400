"""Worker processes that tests start, stop, freeze and kill, each a process group of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.infra.settings import Settings
from tests.worker_kit import Kit

ROOT = Path(__file__).resolve().parents[1]
LIGHT = ["-m", "tests.light_trainer"]
REAL = ["-m", "worker.trainer"]
CELERY = ["worker", "--pool=threads", "-c", "1", "--loglevel=error"]
LIGHT_CELERY = ["-m", "celery", "-A", "tests.light_celery", *CELERY]


class Worker:
    """One worker group: the parent and its tensor process."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self._command = command
        self._environment = environment
        self._log = log
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self._command],
                env=self._environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def signal(self, number: int) -> None:
        """To the whole group."""
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """SIGKILL to the whole group."""
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self, seconds: float = 60.0) -> int:
        """SIGTERM to the parent, as an orchestrator does; its exit status."""
        self.process.terminate()
        return self.process.wait(seconds)


def environment(settings: Settings, **extra: Any) -> dict[str, str]:
    """The environment in which a process reads these settings."""
    values = settings.model_dump(exclude_none=True) | extra
    return os.environ | {f"HEADSTART_{name.upper()}": str(value) for name, value in values.items()}


@contextmanager
def workers(
    kit: Kit, number: int = 1, *, command: Sequence[str] = LIGHT, **extra: Any
) -> Iterator[list[Worker]]:
    """Some workers on the kit's settings, killed in the end."""
    log = kit.settings.data_dir / "workers.log"
    started = [Worker(command, environment(kit.settings, **extra), log) for _ in range(number)]
    try:
        yield started
    finally:
        for worker in started:
            worker.kill()
