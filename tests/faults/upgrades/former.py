"""A former release's code, out of the history, and processes of it beside ours on one footing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import httpx
import pytest

from tests.servers import free_port, wait_for
from tests.workers import ROOT

_VERSIONS = "migrations/versions"
PATIENCE = 600.0
"""Seconds in which a process has started, or a job has ended, on however busy a machine."""
_CODE = ("app", "worker", "migrations", "pyproject.toml")


def tree_before(migration: str, folder: Path) -> Path:
    """The code of the commit before this migration came; skips where the history lacks it."""
    file = f"{_VERSIONS}/{migration}_*.py"
    added = _git("log", "--diff-filter=A", "--format=%H", "-1", "--", file)
    commit = added.decode().strip()
    if not commit or not _git("rev-parse", "--verify", "--quiet", f"{commit}^"):
        pytest.skip("there is no history here to take a former release from (a shallow checkout)")
    archive = _git("archive", "--format=tar", f"{commit}^", *_CODE)
    with tarfile.open(fileobj=BytesIO(archive)) as packed:
        packed.extractall(folder, filter="data")
    return folder


def _git(*words: str) -> bytes:
    """What git says; nothing where there is no git, no repository or no such thing."""
    git = shutil.which("git")
    if git is None:
        return b""
    done = subprocess.run([git, "-C", str(ROOT), *words], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else b""


@dataclass
class Side:
    """A release: its code and the processes that run it, on servers that it shares with others."""

    tree: Path
    settings: dict[str, str]
    log: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def run(self, *words: str) -> str:
        """A `headstart` command, again while the database does not answer it; what it printed."""

        def tried() -> subprocess.CompletedProcess[str] | None:
            done = subprocess.run(
                [sys.executable, "-m", "app.cli", *words],
                env=self._environment(), cwd=self.tree, capture_output=True, text=True, check=False,
            )  # fmt: skip
            return None if "database cannot be reached" in done.stderr else done

        done = wait_for(tried, seconds=PATIENCE)
        assert done.returncode == 0, done.stderr
        return str(done.stdout.strip())

    def app(self, predictor: str) -> str:
        """Where a new app of it answers, which asks this predictor."""
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = ["-m", "app.cli.serve", "--host", "127.0.0.1", "--port", str(port)]
        self._start(url, command, HEADSTART_PREDICTOR_URL=predictor)
        self._await(url, "/readyz")
        return url

    def predictor(self) -> str:
        """Where a new predictor of it answers."""
        url = f"http://127.0.0.1:{free_port()}"
        self._start(url, ["-m", "worker.predictor"], HEADSTART_PREDICTOR_URL=url)
        self._await(url, "/readyz")
        return url

    def trainer(self) -> str:
        """A new trainer's name."""
        self._start("trainer", ["-m", "worker.trainer"])
        return "trainer"

    def stop(self, name: str) -> None:
        """SIGTERM, and wait for the end of what is under way."""
        process = self.running.pop(name)
        process.terminate()
        assert process.wait(120) in (0, -15), self.log.read_text()[-3000:]

    def kill(self) -> None:
        """The end of all that runs."""
        for process in self.running.values():
            process.kill()
            process.wait()

    def _start(self, name: str, command: list[str], **more: str) -> None:
        with self.log.open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, *command],
                env=self._environment() | more, cwd=self.tree, stdout=log, stderr=log,
            )  # fmt: skip

    def _await(self, url: str, path: str) -> None:
        def ready() -> bool:
            assert self.running[url].poll() is None, self.log.read_text()[-3000:]
            return httpx.get(url + path, timeout=10, trust_env=False).status_code == 200

        wait_for(ready, seconds=PATIENCE)

    def _environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if "HEADSTART_" not in name}
        return ours | {"PYTHONPATH": str(self.tree)} | self.settings


@contextmanager
def sides(former: Path, settings: dict[str, str], logs: Path) -> Iterator[tuple[Side, Side]]:
    """The former release and today's."""
    both = (Side(former, settings, logs / "former.log"), Side(ROOT, settings, logs / "ours.log"))
    try:
        yield both
    finally:
        for side in both:
            side.kill()
