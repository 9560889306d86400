"""Promise 14: a worker whose clock is an hour off expires nothing wrongly (Postgres)."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from tests.faults.counts import times
from tests.faults.effects import assert_once, ready_version, said, work_of
from tests.worker_kit import Kit, add_job
from tests.workers import workers

pytestmark = [pytest.mark.servers, pytest.mark.timeout(1800)]
HOUR = 3600


@pytest.mark.promise(14)
def test_wrong_clocks_expire_nothing(postgres_kit: Kit) -> None:
    kit = postgres_kit
    with ExitStack() as stack:
        for offset in (-HOUR, 0, HOUR):
            stack.enter_context(workers(kit, 1, test_clock_offset=offset))
        version = ready_version(kit)
        wish = {"seconds": 3.0}  # longer than a lease: only heartbeats keep it
        job_ids = [add_job(kit, version, hyperparameters=wish) for _ in range(times(6, 30))]
        for job_id in job_ids:
            kit.wait_job(job_id, 300)
    assert_once(kit, job_ids)
    assert set(said(kit, "Job started").values()) == {1}
    assert {work_of(kit, job_id).losses for job_id in job_ids} == {0}


@pytest.mark.parametrize("offset", [-HOUR, HOUR])
@pytest.mark.promise(14)
def test_a_wrong_clock_still_rescues_in_time(postgres_kit: Kit, offset: int) -> None:
    kit = postgres_kit
    with workers(kit, 1) as (lost,):
        version = ready_version(kit)
        job_id = add_job(kit, version, hyperparameters={"seconds": 1.0})
        kit.wait(lambda: kit.job(job_id).status == "running")
        lost.kill()
        killed = time.monotonic()
        with workers(kit, 1, test_clock_offset=offset):
            kit.wait_job(job_id)
    assert time.monotonic() - killed > kit.settings.lease_seconds / 2
    assert work_of(kit, job_id).losses == 1
