"""Pauses: what waits is held, what runs stops and goes on later, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.infra.orm import CheckpointRow, EventRow, JobRow, ModelRow, WorkRow
from app.infra.repositories import jobs, versions
from tests.integration.worker.conftest import training
from tests.worker_kit import Kit, Labelled, add_dataset, add_job

TINY: list[Labelled] = [(f"{c}{i}", c, f"{c} {i}".encode()) for c in "ab" for i in range(3)]


def messages(kit: Kit, job_id: str) -> list[str]:
    statement = select(EventRow.message).where(EventRow.job_id == job_id).order_by(EventRow.id)
    return kit.read(lambda session: list(session.scalars(statement)))


def resume(kit: Kit, job_id: str) -> None:
    def step(session: Session) -> None:
        versions.settle_job(session, jobs.resume_job(session, job_id))

    kit.commit(step)


def state(kit: Kit, job_id: str) -> str:
    statement = select(WorkRow.state).where(WorkRow.job_id == job_id)
    return kit.read(lambda session: session.scalars(statement).one())


def test_a_waiting_job_is_held_until_it_is_resumed(kit: Kit) -> None:
    version = add_dataset(kit, TINY)
    job_id = add_job(kit, version)
    kit.commit(lambda session: jobs.pause_job(session, job_id))
    other = add_job(kit, version)
    with training(kit):
        assert kit.wait_job(other).status == "succeeded"
        assert (kit.job(job_id).status, state(kit, job_id)) == ("paused", "held")
        resume(kit, job_id)
        assert kit.wait_job(job_id).status == "succeeded"
    said = messages(kit, job_id)
    assert said.index("Job paused") < said.index("Job resumed") < said.index("Job succeeded")


def test_a_running_job_stops_lets_others_pass_and_ends_in_one_model(kit: Kit) -> None:
    version = add_dataset(kit, TINY)
    asked = {"seconds": 2.0, "steps": 20}
    with training(kit):
        job_id = add_job(kit, version, hyperparameters=asked, seed=7)
        kit.wait(lambda: "Step 3" in " ".join(messages(kit, job_id)))
        kit.commit(lambda session: jobs.pause_job(session, job_id))
        other = add_job(kit, version)  # the worker is free for it
        assert kit.wait_job(other).status == "succeeded"
        assert kit.job(job_id).status == "paused"
        resume(kit, job_id)
        assert kit.wait_job(job_id).status == "succeeded"
    made = select(ModelRow.id).where(ModelRow.job_id == job_id)
    assert len(kit.read(lambda session: session.scalars(made).all())) == 1
    steps = select(CheckpointRow.step_number).where(CheckpointRow.job_id == job_id)
    found = kit.read(lambda session: list(session.scalars(steps)))
    assert sorted(found) == list(range(1, 21))


def test_a_paused_job_can_be_cancelled_and_nothing_is_paused_twice(kit: Kit) -> None:
    job_id = add_job(kit, add_dataset(kit, TINY))
    kit.commit(lambda session: jobs.pause_job(session, job_id))
    with pytest.raises(HeadstartError, match="that is paused cannot become paused"):
        kit.commit(lambda session: jobs.pause_job(session, job_id))
    kit.commit(lambda session: jobs.cancel_job(session, job_id))
    assert (kit.job(job_id).status, state(kit, job_id)) == ("cancelled", "cancelled")
    with pytest.raises(HeadstartError, match="that is cancelled cannot be resumed"):
        kit.commit(lambda session: jobs.resume_job(session, job_id))
    assert state(kit, job_id) == "cancelled"


def test_a_version_that_fails_meanwhile_fails_the_job_when_it_is_resumed(kit: Kit) -> None:
    version = add_dataset(kit, TINY)
    job_id = add_job(kit, version)
    kit.commit(lambda session: jobs.pause_job(session, job_id))

    def fail(session: Session) -> None:
        locked = versions.lock_version(session, version.id)
        versions.fail_version(session, locked, HeadstartError("empty_dataset"))

    kit.commit(fail)
    assert kit.job(job_id).status == "paused"
    resume(kit, job_id)
    job: JobRow = kit.job(job_id)
    assert job.status == "failed"
    assert job.error is not None
    assert job.error["code"] == "dataset_failed"
