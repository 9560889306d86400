"""Promises 1 and 20: what is accepted ends, whatever dies around it, and memory stays flat."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.infra.orm import JobRow
from tests.factories import make_key
from tests.faults.app_process import AppProcess, app_process
from tests.faults.conftest import BRISK
from tests.faults.counts import times
from tests.faults.effects import assert_once, ready_version
from tests.servers import Redis, again_and_again, postgres_database, running_redis
from tests.worker_kit import Kit, add_job, open_kit
from tests.workers import LIGHT_CELERY, workers

pytestmark = [pytest.mark.servers, pytest.mark.timeout(1800)]
JOBS = "/v1/fine_tuning/jobs"
SUBMITS = times(12, 200)
POLL_SECONDS = 10.0
"""The promise's 30 seconds for a lost doorbell are three polls."""


def torment(redis: Redis) -> Callable[[], None]:
    """By turns flush it and kill it."""
    turns = iter(range(10**6))

    def step() -> None:
        if next(turns) % 2:
            redis.kill()
            redis.start()
        else:
            redis.client().flushall()

    return step


def submitted(app: AppProcess, key: str, body: dict[str, Any], deaths: list[int]) -> list[str]:
    """The ids of as many jobs; a call that got no answer is repeated with its Idempotency-Key."""
    made: list[str] = []
    with app.client(key, timeout=300) as client:
        while len(made) < SUBMITS:
            try:
                headers = {"idempotency-key": f"submit-{len(made)}"}
                answer = client.post(JOBS, json=body, headers=headers)
            except httpx.HTTPError:
                deaths.append(len(made))
                assert app.process is not None
                app.process.wait(300)
                app.start()
            else:
                assert answer.status_code == 202, answer.text
                made.append(answer.json()["id"])
    return made


@pytest.mark.promise(1)
def test_every_accepted_submit_ends_while_redis_and_the_app_die(
    postgres: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    deaths: list[int] = []
    with postgres_database(postgres) as url, running_redis() as redis:
        settings = BRISK | {"poll_seconds": POLL_SECONDS, "quota_jobs": 0}
        kit = open_kit(tmp_path, database_url=url, broker_url=redis.url, **settings)
        key = make_key(kit.sessions, "acme")
        dying = {"module": "tests.faults.submits.dying_app", "extra": {"test_deaths": "0.15"}}
        with workers(kit, 2, command=LIGHT_CELERY), app_process(kit.settings, **dying) as app:
            version = ready_version(kit)
            body = {"model": "efficientnet_lite0", "training_file": version.dataset_id}
            with again_and_again(torment(redis), seconds=3.0):
                made = submitted(app, key, body, deaths)
                for job_id in made:
                    kit.wait_job(job_id, 120)
        assert_once(kit, made)
        longest = max(waits(kit))
        record_property("submits", len(made))
        record_property("app_deaths_before_the_doorbell", len(deaths))
        record_property("longest_wait_seconds", round(longest, 1))
        assert longest <= 30
        kit.engine.dispose()


def waits(kit: Kit) -> list[float]:
    """Seconds from each job's commit to its start."""
    rows = kit.read(lambda session: list(session.scalars(select(JobRow))))
    return [row.started_at - row.created_at for row in rows if row.started_at is not None]


@pytest.mark.promise(20)
def test_a_trainer_s_memory_stays_flat_over_many_jobs(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    kit, jobs = open_kit(tmp_path, **BRISK), times(60, 500)
    resident: list[float] = []
    with workers(kit, 1) as (worker,):
        version = ready_version(kit)
        for _ in range(20):
            for job_id in [add_job(kit, version) for _ in range(jobs // 20)]:
                kit.wait_job(job_id, 120)
            resident.append(resident_mb(worker.process.pid))
    record_property("jobs", jobs)
    record_property("resident_mb", {"first": resident[0], "last": resident[-1]})
    assert max(resident) - resident[len(resident) // 4] < 15, resident
    kit.engine.dispose()


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * 4096 / 1e6, 1)


@pytest.mark.promise(1)
def test_a_stopped_app_leaves_what_it_has_accepted(tmp_path: Path) -> None:
    """Without a broker: an app that is killed as soon as it has answered has lost nothing."""
    kit = open_kit(tmp_path, **BRISK)
    key = make_key(kit.sessions, "acme")
    made: list[str] = []
    with workers(kit, 1):
        version = ready_version(kit)
        body = {"model": "efficientnet_lite0", "training_file": version.dataset_id}
        with app_process(kit.settings) as app:
            for _ in range(times(1, 20)):
                with app.client(key) as client:
                    made += [client.post(JOBS, json=body).json()["id"] for _ in range(3)]
                app.kill()
                assert app.dead
                app.start()
        for job_id in made:
            kit.wait_job(job_id, 60)
    assert_once(kit, made)
    kit.engine.dispose()
