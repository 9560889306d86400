"""Promise 12, the trainer's side: Postgres restarts, and no work is lost or done twice."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.faults.conftest import BRISK
from tests.faults.counts import times
from tests.faults.effects import assert_once, assert_swept, ready_version
from tests.servers import running_postgres
from tests.worker_kit import add_job, open_kit
from tests.workers import workers

pytestmark = [pytest.mark.servers, pytest.mark.timeout(1800)]


@pytest.mark.promise(12)
def test_postgres_restarts_lose_nothing(tmp_path: Path) -> None:
    with running_postgres() as server:
        kit = open_kit(tmp_path, database_url=server.url, **BRISK)
        with workers(kit, 2) as group:
            version = ready_version(kit)
            job_ids = []
            for _ in range(times(2, 10)):
                wish = {"seconds": 0.7, "steps": 3}
                job_ids += [add_job(kit, version, hyperparameters=wish) for _ in range(4)]
                time.sleep(1)
                server.stop()
                kit.engine.dispose()
                time.sleep(1)
                server.start()
            for job_id in job_ids:
                kit.wait_job(job_id, 120)
            assert all(worker.process.poll() is None for worker in group)
        assert_once(kit, job_ids)
        assert_swept(kit)
        kit.engine.dispose()
