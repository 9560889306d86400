"""A job that has much to embed by itself is passed by others' work, and loses nothing."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from app.infra.orm import EventRow, JobRow
from tests.integration.worker.conftest import training
from tests.worker_kit import Kit, add_dataset, add_job

MANY = 320


@pytest.fixture(autouse=True)
def _short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.trainer.attempt._TURN_SECONDS", 0.1)


def slow_job(kit: Kit) -> str:
    """Whose views nobody has embedded yet."""
    members = [(f"c{i % 2}/{i}", f"c{i % 2}", f"slow {i}".encode()) for i in range(MANY)]
    version = kit.wait_version(add_dataset(kit, members).id)
    return add_job(kit, version, hyperparameters={"views": ["squish", "mirror", "crop"]})


def said(kit: Kit, job_id: str) -> list[str]:
    of = select(EventRow.message).where(EventRow.job_id == job_id)
    return list(kit.read(lambda session: session.scalars(of.order_by(EventRow.id)).all()))


def fast(kit: Kit, number: int) -> JobRow:
    """An upload of another organisation and a job on it."""
    members = [(f"c{i}/{i}", f"c{i}", f"fast {number} {i}".encode()) for i in range(2)]
    version = kit.wait_version(add_dataset(kit, members, org="bolt").id)
    return kit.wait_job(add_job(kit, version))


def test_others_uploads_and_jobs_pass_it_again_and_again(kit: Kit) -> None:
    with training(kit):
        slow = slow_job(kit)
        kit.wait(lambda: kit.job(slow).status == "running")
        passing = [fast(kit, number) for number in range(2)]
        job = kit.wait_job(slow)
    assert [one.status for one in (*passing, job)] == ["succeeded"] * 3
    ends = [one.finished_at or 0.0 for one in (*passing, job)]
    assert ends == sorted(ends)
    assert job.progress is not None
    assert job.progress["embedding"]["new"] + job.progress["embedding"]["cached"] == 3 * MANY
    history = said(kit, slow)
    assert history.count("Job queued again: others' work is to pass") == 1
    assert history.count("Job started") == 1


def test_its_own_organisation_s_work_does_not_pass_it(kit: Kit) -> None:
    with training(kit):
        slow = slow_job(kit)
        kit.wait(lambda: kit.job(slow).status == "running")
        members = [(f"c{i}/{i}", f"c{i}", f"fast {i}".encode()) for i in range(2)]
        version = kit.wait_version(add_dataset(kit, members).id)
        kit.wait_job(slow)
    assert version.status == "ready"
    assert not [one for one in said(kit, slow) if "is to pass" in one]
