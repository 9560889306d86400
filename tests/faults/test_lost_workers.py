"""Promises 2, 3, 4 and 6: lost, frozen and poisoned workers; nothing lost, nothing doubled."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.infra.repositories import work
from tests.faults.counts import times
from tests.faults.effects import (
    assert_once,
    assert_swept,
    ready_version,
    said,
    work_of,
)
from tests.worker_kit import Kit, add_dataset, add_job
from tests.workers import workers
from worker.trainer.kinds import kind_of

pytestmark = pytest.mark.timeout(3600)


def all_ended(kit: Kit, job_ids: list[str]) -> Callable[[], bool]:
    ended = ("succeeded", "failed", "cancelled")
    return lambda: all(kit.job(job_id).status in ended for job_id in job_ids)


@pytest.mark.promise(2)
def test_nothing_is_lost_or_doubled_while_workers_are_killed(kit: Kit) -> None:
    """Promise 2."""
    dice = random.Random(2)
    with workers(kit, 4) as group:
        version = ready_version(kit)
        wish = {"seconds": 1.0}
        job_ids = [add_job(kit, version, hyperparameters=wish) for _ in range(times(12, 200))]
        done = all_ended(kit, job_ids)
        deadline = time.monotonic() + times(180, 1800)
        while not done():
            assert time.monotonic() < deadline
            victim = dice.choice(group)
            time.sleep(2)
            victim.kill()
            victim.start()
    assert_once(kit, job_ids)
    assert_swept(kit)


@pytest.mark.promise(3)
def test_a_frozen_worker_writes_nothing_after_its_lease(kit: Kit) -> None:
    """Promise 3: stopped for three leases at random points of a job."""
    dice = random.Random(3)
    with workers(kit, 1) as (frozen,):
        version = ready_version(kit)
        for _ in range(times(3, 50)):
            wish = {"seconds": 0.4, "steps": 4}
            job_id = add_job(kit, version, hyperparameters=wish)
            kit.wait(lambda j=job_id: kit.job(j).status == "running")
            time.sleep(dice.uniform(0, 0.5))
            frozen.signal(signal.SIGSTOP)
            with workers(kit, 1):
                time.sleep(3 * kit.settings.lease_seconds)
                frozen.signal(signal.SIGCONT)
                kit.wait_job(job_id, 60)
            before = kit.job(job_id).finished_at
            time.sleep(0.7)
            assert kit.job(job_id).finished_at == before
            assert said(kit, "Job succeeded")[job_id] == 1
        last = add_job(kit, version)
        kit.wait_job(last)
        job_ids = [*said(kit, "Job succeeded")]
    assert_once(kit, job_ids)
    assert_swept(kit)


@pytest.mark.servers
@pytest.mark.promise(3)
def test_a_worker_frozen_within_a_transaction_lets_go(postgres_kit: Kit) -> None:
    """Its row locks end with its session, which Postgres ends after 15 seconds of silence."""
    kit = postgres_kit
    with workers(kit, 1) as (other,):
        version = ready_version(kit)
        other.kill()
        job_id = add_job(kit, version)
        claimed = kit.commit(
            lambda session: work.claim(
                session, worker="frozen", kinds=["fine_tune"], lease_seconds=1
            )
        )
        assert claimed is not None
        kit.commit(lambda session: kind_of(claimed).begin(session, claimed))

        def finish_and_freeze(session: Session) -> None:
            work.finish(session, claimed)
            other.start()
            kit.wait_job(job_id, 60)
            work.hold(session, claimed)

        with pytest.raises(HeadstartError) as raised:
            kit.commit(finish_and_freeze)
        assert raised.value.code == "database_unavailable"
    assert_once(kit, [job_id])


@pytest.mark.promise(4)
def test_a_poison_job_is_given_up_and_those_behind_it_finish(kit: Kit) -> None:
    """Promise 4."""
    with workers(kit, 1):
        version = ready_version(kit)
        poison = add_job(kit, version, hyperparameters={"poison": True})
        healthy = [add_job(kit, version) for _ in range(times(5, 20))]
        failed = kit.wait_job(poison, 120)
        for job_id in healthy:
            kit.wait_job(job_id, 120)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error["code"] == "worker_lost"
    assert said(kit, "Job started")[poison] == 3
    assert_once(kit, healthy)


@pytest.mark.promise(4)
def test_a_poison_example_fails_its_dataset(kit: Kit) -> None:
    """A picture that kills the decoder is given up like a poison job."""
    with workers(kit, 1):
        version = add_dataset(kit, [("a/1", "a", b"die"), ("b/1", "b", b"fine")])
        healthy = add_dataset(kit, [("a/1", "a", b"one"), ("b/1", "b", b"two")])
        failed = kit.wait_version(version.id, 120)
        assert kit.wait_version(healthy.id, 120).status == "ready"
    assert failed.error is not None
    assert failed.error["code"] == "worker_lost"


@pytest.mark.promise(6)
def test_a_killed_job_starts_again_within_twenty_seconds(promised_kit: Kit) -> None:
    """Promise 6, with the promised heartbeat of 5 and lease of 15 seconds."""
    kit = promised_kit
    with workers(kit, 2) as group:
        version = ready_version(kit)
        for _ in range(times(1, 5)):
            job_id = add_job(kit, version, hyperparameters={"seconds": 2.0})
            kit.wait(lambda j=job_id: kit.job(j).status == "running")
            claimed_by = str(work_of(kit, job_id).claimed_by)
            victim = next(w for w in group if f":{w.process.pid}:" in claimed_by)
            victim.kill()
            killed = time.monotonic()
            kit.wait(lambda j=job_id: said(kit, "Job started")[j] == 2, 40)
            assert time.monotonic() - killed <= 20
            kit.wait_job(job_id)
            victim.start()
    assert work_of(kit, job_id).losses == 1
