"""Schedulers that are killed, and two at once: each trigger ends as a row, no run runs twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app.infra.orm import HookRunRow, JobRow
from app.infra.repositories import jobs
from tests.factories import make_dataset, make_key
from tests.faults.counts import times
from tests.servers import free_port, wait_for
from tests.worker_kit import Kit

Told = dict[str, Any]


class App:
    """A process of the app, and a client of it."""

    def __init__(self, kit: Kit, key: str) -> None:
        self._port = free_port()
        environment = os.environ | {
            "HEADSTART_DATA_DIR": str(kit.settings.data_dir),
            "HEADSTART_DATABASE_URL": kit.settings.database_url,
        }
        command = [sys.executable, "-m", "app.cli.serve", "--host", "127.0.0.1"]
        command += ["--port", str(self._port)]
        self._process = subprocess.Popen(command, env=environment)
        headers = {"authorization": f"Bearer {key}"}
        url = f"http://127.0.0.1:{self._port}"
        self.client = httpx.Client(base_url=url, headers=headers, timeout=300)
        wait_for(lambda: self.client.get("/livez").is_success, seconds=60)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.client.close()


@contextmanager
def apps(kit: Kit, key: str, number: int) -> Iterator[list[App]]:
    with ExitStack() as opened:
        running = []
        for _ in range(number):
            app = App(kit, key)
            opened.callback(app.kill)
            running.append(app)
        yield running


def make_hook(client: httpx.Client, dataset: str, **body: Any) -> Told:
    new = {
        "name": "often",
        "dataset": dataset,
        "alias": "cells@production",
        "job": {"model": "efficientnet_lite0"},
        "triggers": [{"type": "inbound"}],
        "max_runs_per_day": 1440,
    }
    made = client.post("/v1/hooks", json=new | body)
    assert made.status_code == 201, made.text
    told: Told = made.json()
    return told


def end_jobs(kit: Kit) -> None:
    """Cancel what no trainer here would do, so that the next run may begin."""
    waiting = select(JobRow.id).where(JobRow.status.in_(["validating_files", "queued"]))
    for job_id in kit.read(lambda session: list(session.scalars(waiting))):
        kit.commit(lambda session, one=job_id: jobs.cancel_job(session, one))  # type: ignore[misc]


def rows(kit: Kit, hook: Told) -> list[HookRunRow]:
    statement = select(HookRunRow).where(HookRunRow.hook_id == hook["id"])
    return kit.read(lambda session: list(session.scalars(statement)))


def settled(kit: Kit, hook: Told) -> bool:
    end_jobs(kit)
    return all(row.status not in ("waiting", "running") for row in rows(kit, hook))


def test_a_thousand_triggers_are_the_runs_that_debounce_allows(kit: Kit) -> None:
    """Two schedulers; of each run one job, of each trigger one row."""
    number, key = times(200, 1000), make_key(kit.sessions)
    dataset = kit.commit(make_dataset).dataset_id
    with apps(kit, key, 2) as (one, other):
        hook = make_hook(one.client, dataset, debounce_seconds=3)
        clients = [one.client, other.client]

        def trigger(place: int) -> str:
            """As a careful caller does: once more where a busy database was not reached in time."""
            path, once = f"/v1/hooks/{hook['id']}/trigger", {"idempotency-key": f"trigger-{place}"}
            for _ in range(20):
                answer = clients[place % 2].post(path, json={"force": True}, headers=once)
                if answer.status_code != 503:
                    break
                time.sleep(0.5)
            assert answer.status_code == 202, answer.text
            return str(answer.json()["id"])

        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            asked = set(pool.map(trigger, range(number)))
        seconds = time.monotonic() - began
        wait_for(lambda: settled(kit, hook), seconds=120)
    told = rows(kit, hook)
    assert {row.id for row in told} == asked
    alone = [row for row in told if row.joined is None]
    assert sum(row.triggers for row in alone) == number
    assert 1 <= len(alone) <= seconds / 3 + 2
    made = kit.read(lambda session: session.scalars(select(func.count(JobRow.id))).one())
    assert made == len(alone) == len({row.job_id for row in alone})


@pytest.mark.promise(2)
def test_a_killed_scheduler_s_runs_are_run_once_by_others(kit: Kit) -> None:
    number, key = times(3, 20), make_key(kit.sessions)
    dataset = kit.commit(make_dataset).dataset_id
    hooks: list[Told] = []
    with apps(kit, key, 1) as (first,):
        for place in range(number):
            hook = make_hook(first.client, dataset, debounce_seconds=0.05 * place)
            path = f"/v1/hooks/{hook['id']}/trigger"
            first.client.post(path, json={"force": True}).raise_for_status()
            hooks.append(hook)
        first.kill()
    with apps(kit, key, 2):
        wait_for(lambda: all(settled(kit, hook) for hook in hooks), seconds=120)
    told = [row for hook in hooks for row in rows(kit, hook)]
    assert Counter(row.status for row in told) == {"failed": number}
    assert all("the job cancelled" in str(row.reason) for row in told)
    made = kit.read(lambda session: session.scalars(select(func.count(JobRow.id))).one())
    assert made == number == len({row.job_id for row in told})
