"""The service as it is started, and the tools of other people that are tried on it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.cli.embedded import start
from app.infra.settings import Settings
from tests.servers import missing

TOOLS = Path(__file__).parents[2] / "data" / "clients"
"""Where `make clients` installs them."""


@dataclass(frozen=True)
class Running:
    """Where the service answers, and its first key."""

    url: str
    key: str


def tool(name: str) -> Path:
    """A tool's program; skips, or fails where CI promised it."""
    found = next(
        (
            TOOLS / each
            for each in (f"venv/bin/{name}", f"node_modules/.bin/{name}")
            if (TOOLS / each).exists()
        ),
        None,
    )
    if found is None:
        missing(f"{name} (`make clients`)")
    assert found is not None
    return found


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """What the command says; fails with that if it fails."""
    path = f"{TOOLS / 'venv/bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=os.environ | {"PATH": path, "NO_COLOR": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
    return done.stdout


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The whole service on a data folder of its own.

    One encoder of texts: nobody asks here how good a model is, and a second one reads thousands
    of them while the tools wait.
    """
    folder = tmp_path_factory.mktemp("clients")
    with pytest.MonkeyPatch.context() as patched:
        one_each = "efficientnet_lite0,all-MiniLM-L6-v2"
        patched.setenv("HEADSTART_PREDICTION_BACKBONES", one_each)
        supervisor = start(Settings(data_dir=folder), host="127.0.0.1", port=0)
        try:
            yield Running(supervisor.url, (folder / "api-key").read_text().strip())
        finally:
            supervisor.stop()


@pytest.fixture
def document(running: Running, tmp_path: Path) -> Path:
    """The OpenAPI document as a file in a folder of the test's own."""
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(httpx.get(f"{running.url}/openapi.json", timeout=300).json()))
    return path
