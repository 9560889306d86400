"""The app as a process of its own, as an operator runs it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from app.infra.settings import Settings
from tests.servers import free_port, wait_for
from tests.workers import ROOT, environment


@dataclass
class AppProcess:
    """`headstart serve` on some settings, which can be killed and started again."""

    settings: Settings
    port: int
    module: str = "app.cli.serve"
    extra: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = ["-m", self.module, "--host", "127.0.0.1", "--port", str(self.port)]
        with (self.settings.data_dir / "app.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                env=environment(self.settings, **self.extra), cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip
        wait_for(self._answers, seconds=120)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.settings.data_dir / "app.log").read_text()
        return httpx.get(f"{self.url}/livez", timeout=5).status_code == 200

    @property
    def dead(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def client(self, key: str | None, *, timeout: float = 60.0) -> httpx.Client:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=timeout, trust_env=False)


@contextmanager
def app_process(settings: Settings, **how: Any) -> Iterator[AppProcess]:
    """A running app, killed in the end."""
    app = AppProcess(settings, free_port(), **how)
    app.start()
    try:
        yield app
    finally:
        app.kill()
