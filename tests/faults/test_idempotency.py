"""Promise 9: one effect a key under many concurrent calls, and no key stuck by a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from app.infra.database import Sessions, make_sessions, open_engine, reading, transaction
from app.infra.migrate import migrate
from app.infra.orm import JobRow
from tests.factories import make_dataset, make_key
from tests.faults.counts import times
from tests.servers import free_port, postgres_database

KEYS, CALLS, KILLS = times(20, 100), times(20, 50), times(3, 20)
JOBS = "/v1/fine_tuning/jobs"


@dataclass
class World:
    """A data folder with a caller and a dataset, and how to start an app on it."""

    folder: Path
    database_url: str
    sessions: Sessions
    key: str
    dataset: str
    port: int

    @contextmanager
    def app(self) -> Iterator[subprocess.Popen[bytes]]:
        """The app as a process of its own."""
        environment = os.environ | {
            "HEADSTART_DATA_DIR": str(self.folder),
            "HEADSTART_DATABASE_URL": self.database_url,
        }
        command = [sys.executable, "-m", "uvicorn", "app.main:app", "--log-level", "warning"]
        process = subprocess.Popen([*command, "--port", str(self.port)], env=environment)
        try:
            self._wait_until_alive(process)
            yield process
        finally:
            process.kill()
            process.wait()

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"authorization": f"Bearer {self.key}"},
            timeout=300,
            verify=False,
        )

    def submit(self, client: httpx.Client, key: str) -> httpx.Response:
        body = {"model": "efficientnet_lite0", "training_file": self.dataset}
        return client.post(JOBS, json=body, headers={"idempotency-key": key})

    def jobs(self) -> int:
        with reading(self.sessions) as session:
            return session.scalars(select(func.count(JobRow.id))).one()

    def _wait_until_alive(self, process: subprocess.Popen[bytes]) -> None:
        for _ in range(600):
            assert process.poll() is None, "the app did not start"
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/livez", timeout=1)
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("the app did not answer")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "sqlite":
        yield from _world(tmp_path, f"sqlite:///{tmp_path / 'headstart.db'}")
        return
    with postgres_database(request.getfixturevalue("postgres")) as url:
        yield from _world(tmp_path, url)


def _world(folder: Path, url: str) -> Iterator[World]:
    engine = open_engine(url)
    migrate(engine)
    sessions = make_sessions(engine)
    with transaction(sessions) as session:
        dataset = make_dataset(session).dataset_id
    yield World(folder, url, sessions, make_key(sessions), dataset, free_port())
    engine.dispose()


@pytest.mark.promise(9)
def test_each_key_makes_one_job(world: World) -> None:
    with world.app(), world.client() as client, ThreadPoolExecutor(50) as callers:

        def call(number: int) -> tuple[str, str]:
            key = f"key-{number // CALLS}"
            answer = world.submit(client, key)
            assert answer.status_code == 202, answer.text
            return key, str(answer.json()["id"])

        made = set(callers.map(call, range(KEYS * CALLS)))
    assert len(made) == KEYS
    assert world.jobs() == KEYS


@pytest.mark.promise(9)
def test_a_kill_amid_requests_leaves_no_key_stuck(world: World) -> None:
    def call(client: httpx.Client, key: str) -> str | None:
        try:
            answer = world.submit(client, key)
        except httpx.HTTPError:
            return None
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    answered: dict[str, str] = {}
    for kill in range(KILLS):
        keys = [f"kill-{kill}-{number}" for number in range(20)]
        with world.app() as process, world.client() as client, ThreadPoolExecutor(20) as callers:
            calls = {key: callers.submit(call, client, key) for key in keys}
            time.sleep(0.02 * (kill % 5))
            process.send_signal(signal.SIGKILL)
            got = {key: found.result() for key, found in calls.items()}
        answered |= {key: job for key, job in got.items() if job is not None}
    keys = [f"kill-{kill}-{number}" for kill in range(KILLS) for number in range(20)]
    with world.app(), world.client() as client:
        final = {key: call(client, key) for key in keys}
    assert None not in final.values()
    assert {key: final[key] for key in answered} == answered
    assert world.jobs() == len(keys) == len(set(final.values()))
