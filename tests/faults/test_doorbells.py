"""Promises 5 and 13: a real Celery worker, whatever happens to Redis and to its messages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.infra.lanes import Lane
from app.infra.queue import Doorbell
from tests.faults.conftest import BRISK
from tests.faults.counts import times
from tests.faults.effects import assert_once, ready_version, said
from tests.servers import Redis, postgres_database, running_redis, wait_for
from tests.worker_kit import Kit, add_job, open_kit
from tests.workers import LIGHT_CELERY, environment, workers

FITTING = Lane("fine_tune", gpu=False)
pytestmark = [pytest.mark.servers, pytest.mark.timeout(3600)]


@pytest.fixture
def redis_server() -> Iterator[Redis]:
    with running_redis() as server:
        yield server


@pytest.fixture
def celery_kit(postgres: str, redis_server: Redis, tmp_path: Path) -> Iterator[Kit]:
    """Postgres and Redis, polls so rare that only doorbells are quick."""
    with postgres_database(postgres) as url:
        brisk = BRISK | {"poll_seconds": 10.0}
        made = open_kit(tmp_path, database_url=url, broker_url=redis_server.url, **brisk)
        yield made
        made.engine.dispose()


@pytest.fixture
def bell(celery_kit: Kit) -> Iterator[Doorbell]:
    doorbell = Doorbell(celery_kit.settings.broker_url)
    yield doorbell
    doorbell.close()


def test_a_doorbell_is_heard_long_before_the_next_poll(celery_kit: Kit, bell: Doorbell) -> None:
    with workers(celery_kit, 1, command=LIGHT_CELERY):
        version = ready_version(celery_kit)
        celery_kit.wait_job(add_job(celery_kit, version))
        time.sleep(1)
        job_id = add_job(celery_kit, version)
        rung = time.monotonic()
        bell.ring([FITTING])
        celery_kit.wait_job(job_id)
        assert time.monotonic() - rung < 5


@pytest.mark.promise(5)
def test_ten_doorbells_a_job_train_it_once(celery_kit: Kit, bell: Doorbell) -> None:
    """Promise 5: the visibility timeout of 5 seconds is far below a job's time."""
    seconds = times(7, 30)
    with workers(celery_kit, 2, command=LIGHT_CELERY):
        version = ready_version(celery_kit)
        wish = {"seconds": seconds}
        job_ids = []
        for _ in range(times(2, 20)):
            job_ids.append(add_job(celery_kit, version, hyperparameters=wish))
            for _ in range(10):
                bell.ring([FITTING])
        for job_id in job_ids:
            celery_kit.wait_job(job_id, 60 + seconds * len(job_ids))
    assert_once(celery_kit, job_ids)
    assert set(said(celery_kit, "Job started").values()) == {1}


@pytest.mark.promise(13)
def test_consumption_resumes_after_redis_restarts(
    celery_kit: Kit, bell: Doorbell, redis_server: Redis
) -> None:
    """Promise 13: killed and emptied; within 30 seconds work goes on."""
    with workers(celery_kit, 1, command=LIGHT_CELERY) as (worker,):
        version = ready_version(celery_kit)
        for turn in range(times(2, 20)):
            redis_server.kill()
            away = add_job(celery_kit, version)
            bell.ring([FITTING])
            time.sleep(turn % 3)
            redis_server.start()
            bell.ring([FITTING])
            back = time.monotonic()
            celery_kit.wait_job(away, 30)
            after = add_job(celery_kit, version)
            bell.ring([FITTING])
            celery_kit.wait_job(after, 30)
            assert time.monotonic() - back <= 30
            assert worker.process.poll() is None
        assert worker.terminate() == 0


@pytest.mark.promise(13)
def test_a_worker_that_never_met_redis_works_all_the_same(
    celery_kit: Kit, redis_server: Redis
) -> None:
    """Promise 13: it starts while Redis is away, polls, and hears bells once Redis is there."""
    redis_server.kill()
    with workers(celery_kit, 1, command=LIGHT_CELERY) as (worker,):
        version = ready_version(celery_kit)
        celery_kit.wait_job(add_job(celery_kit, version), 60)
        redis_server.start()
        celery_kit.wait_job(add_job(celery_kit, version), 60)
        assert worker.process.poll() is None
        assert worker.terminate() == 0


@pytest.mark.promise(13)
def test_a_ring_never_waits_for_redis(celery_kit: Kit, bell: Doorbell, redis_server: Redis) -> None:
    """A submit rings after its commit: it must not feel that Redis is dead or, worse, stalled."""
    slowest = 0.0
    for fault, repair in (
        (redis_server.freeze, redis_server.thaw),
        (redis_server.kill, redis_server.start),
    ):
        fault()
        for _ in range(200):
            began = time.perf_counter()
            bell.ring([FITTING])
            slowest = max(slowest, time.perf_counter() - began)
        repair()
    assert slowest < 0.1
    assert threading.active_count() < 20


@pytest.mark.promise(13)
def test_liveness_proves_consumption(celery_kit: Kit) -> None:
    assert liveness(celery_kit) == 1
    with workers(celery_kit, 1, command=LIGHT_CELERY) as (worker,):
        celery_kit.wait_version(ready_version(celery_kit).id)
        assert liveness(celery_kit) == 0
        worker.signal(signal.SIGSTOP)  # alive to the kernel, deaf to every bell
        for file in (celery_kit.settings.data_dir / "run").glob("*.alive"):
            os.utime(file, (0, 0))  # a long time passes
        assert liveness(celery_kit) == 1
        worker.signal(signal.SIGCONT)
        wait_for(lambda: liveness(celery_kit) == 0)


def liveness(kit: Kit) -> int:
    command = [sys.executable, "-m", "worker.trainer.liveness"]
    return subprocess.run(command, env=environment(kit.settings), check=False).returncode
