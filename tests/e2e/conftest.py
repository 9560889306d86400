"""The whole service, on both footings, started once a session."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.cli.embedded import prepare, start
from app.infra.settings import Settings
from tests.e2e.patience import PatientClient
from tests.faults.counts import FULL
from tests.servers import free_port, postgres_server, redis_server, wait_for

_HERE = Path(__file__).parent
_BOTH = ("test_upload_to_prediction.py", "canaries", "test_backups.py")
"""The road itself, and what is stored otherwise on each footing."""
_PRODUCTION = (
    "test_batches.py",
    "test_hooks.py",
    "test_custom_vision.py",
    "test_several_labels.py",
)
"""On the production footing alone, where they would meet what differs; all others on the embedded
one alone: Postgres, Celery and the remote store have their own tests in integration and faults."""
_ALWAYS = "test_texts_go_the_whole_way[production-lora]"
_ONCE = ("[embedded-backup]", "[production-backup.tar]")
"""Either shelf of a backup on one footing."""


def _left_out(item: pytest.Item) -> bool:
    """Whether the full counts alone have this test on this footing."""
    file = item.path.relative_to(_HERE).parts[0]
    if file in _BOTH or item.name == _ALWAYS:
        return item.name.endswith(_ONCE)
    return ("embedded" if file in _PRODUCTION else "production") in item.name


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """CI goes each way on one footing, but for the main road; `make faults` on both."""
    skipped = pytest.mark.skip(reason="on this footing `make faults` runs it")
    for item in items:
        if not FULL and _HERE in item.path.parents and _left_out(item):
            item.add_marker(skipped)


@dataclass(frozen=True)
class Service:
    """Where a service answers, and its first key."""

    footing: str
    url: str
    key: str
    data_dir: Path
    database_url: str = ""

    def client(self, key: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return PatientClient(base_url=self.url, headers=headers)


@pytest.fixture(
    scope="session", params=["embedded", pytest.param("production", marks=pytest.mark.servers)]
)
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp(request.param)
    run = _embedded if request.param == "embedded" else _production
    yield from run(folder)


@contextmanager
def served(data_dir: Path, weights_dir: Path) -> Iterator[httpx.Client]:
    """A caller of an embedded service of its own, which finds these weights."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HEADSTART_WEIGHTS_DIR", str(weights_dir))
        supervisor = start(Settings(data_dir=data_dir), host="127.0.0.1", port=0)
        try:
            key = (data_dir / "api-key").read_text().strip()
            headers = {"Authorization": f"Bearer {key}"}
            with PatientClient(base_url=supervisor.url, headers=headers) as made:
                yield made
        finally:
            supervisor.stop()


def _embedded(folder: Path) -> Iterator[Service]:
    supervisor = start(Settings(data_dir=folder), host="127.0.0.1", port=0)
    try:
        yield Service("embedded", supervisor.url, (folder / "api-key").read_text().strip(), folder)
    finally:
        supervisor.stop()


def _production(folder: Path) -> Iterator[Service]:
    with postgres_server() as database_url, redis_server() as broker_url:
        ports = free_port(), free_port()
        settings = Settings(
            data_dir=folder,
            database_url=database_url,
            broker_url=broker_url,
            predictor_url=f"http://127.0.0.1:{ports[1]}",
        )
        prepare(settings)
        environment = os.environ | {
            f"HEADSTART_{name.upper()}": str(getattr(settings, name))
            for name in ("data_dir", "database_url", "broker_url", "predictor_url")
        }
        commands = [
            ["-m", "uvicorn", "app.main:app", "--port", str(ports[0]), "--no-access-log"],
            ["-m", "worker.predictor"],
            [
                "-m",
                "celery",
                "-A",
                "worker.trainer.celery_app",
                "worker",
                "--pool=threads",
                "-c",
                "1",
            ],
        ]
        processes = [
            subprocess.Popen([sys.executable, *command], env=environment) for command in commands
        ]
        try:
            url = f"http://127.0.0.1:{ports[0]}"
            wait_for(lambda: httpx.get(url + "/readyz").status_code == 200, seconds=600)
            key = (folder / "api-key").read_text().strip()
            yield Service("production", url, key, folder, database_url)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(300)
