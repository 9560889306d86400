"""How tries that fail are tried again, and what the job's history says of it."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.infra.database import now
from app.infra.orm import EventRow, WorkRow
from app.infra.repositories import jobs, work
from app.infra.repositories.work import MAX_CRASHES, MAX_LOSSES, Claim
from tests.worker_kit import Kit, add_dataset, add_job, organisation
from worker.trainer.context import Context
from worker.trainer.endings import conclude, rescue
from worker.trainer.kinds import KINDS, kind_of
from worker.trainer.loop import Trainer
from worker.trainer.tensor_process import ChildCrashedError

AWAY = HeadstartError("storage_unavailable", "the storage is away")
DIED = ChildCrashedError("the tensor process died")
OTHER = HeadstartError("storage_unavailable", "a part cannot be read")


@pytest.fixture
def job_id(kit: Kit) -> str:
    """Of a job on a ready version."""
    version = add_dataset(kit, [("a", "a", b"1"), ("b", "b", b"2")])
    ready = kit.version(version.id)
    ready.status = "ready"
    kit.commit(lambda session: session.merge(ready))
    kit.commit(lambda session: session.execute(update(WorkRow).values(state="done")))
    return add_job(kit, version)


def claim(kit: Kit) -> Claim:
    kit.commit(lambda session: session.execute(update(WorkRow).values(not_before=0.0)))
    found = kit.commit(
        lambda session: work.claim(session, worker="w", kinds=["fine_tune"], lease_seconds=60)
    )
    assert found is not None
    assert kit.commit(lambda session: kind_of(found).begin(session, found))
    return found


def events(kit: Kit, job_id: str) -> list[str]:
    statement = select(EventRow.message).where(EventRow.job_id == job_id).order_by(EventRow.id)
    return kit.read(lambda session: list(session.scalars(statement)))


def fails(kit: Kit, error: Exception, *, again_in: float | None = None) -> None:
    """A try ends so; the next is due `again_in` seconds later by the database's clock."""
    claimed = claim(kit)
    before = kit.read(now)
    kit.commit(lambda session: conclude(session, claimed, error))
    after = kit.read(now)
    due = kit.read(lambda session: session.get_one(WorkRow, claimed.id)).not_before
    if again_in is not None:
        assert before + again_in - 0.01 <= due <= after + again_in + 0.01


def test_what_is_away_is_asked_for_ever_less_often(kit: Kit, job_id: str) -> None:
    for seconds in (2, 4, 8, 16, 32, 60, 60, 60):
        fails(kit, AWAY, again_in=seconds)
    assert kit.job(job_id).status == "queued"


def test_each_reason_to_wait_is_told_once(kit: Kit, job_id: str) -> None:
    for error in (AWAY, AWAY, AWAY, OTHER, OTHER):
        fails(kit, error)
    assert events(kit, job_id) == [
        "Job created",
        "Job started",
        "Job queued again: the storage is away",
        "Job queued again: a part cannot be read",
    ]


def test_another_failure_begins_anew(kit: Kit, job_id: str) -> None:
    fails(kit, AWAY)
    fails(kit, RuntimeError("nobody expected this"))
    fails(kit, AWAY, again_in=2)
    assert events(kit, job_id)[-3:] == [
        "Job queued again: an unexpected error",
        "Job started",
        "Job queued again: the storage is away",
    ]


def test_what_is_away_for_days_is_still_asked_for(kit: Kit, job_id: str) -> None:
    fails(kit, AWAY)
    days = {"code": AWAY.code, "message": AWAY.message, "param": None, "times": 5000}
    kit.commit(lambda s: s.execute(update(WorkRow).values(error=days)))
    fails(kit, AWAY, again_in=60)


@pytest.mark.parametrize("code", ["unknown_backbone", "unknown_method"])
def test_what_another_worker_may_know_is_left_to_it_for_an_hour(
    kit: Kit, job_id: str, code: str
) -> None:
    later = HeadstartError(code, "it is of a later release")
    for seconds in (2, 4, 8):
        fails(kit, later, again_in=seconds)
    assert kit.job(job_id).status == "queued"
    assert kit.read(lambda session: session.scalars(select(WorkRow.errors)).all())[-1] == 0
    hour = {"code": code, "message": later.message, "param": None, "times": 60}
    kit.commit(lambda s: s.execute(update(WorkRow).values(error=hour)))
    fails(kit, later)
    assert kit.job(job_id).status == "failed"


def test_where_there_is_no_other_worker_it_fails_at_once(kit: Kit, job_id: str) -> None:
    claimed = claim(kit)
    later = HeadstartError("unknown_method", "it is of a later release")
    kit.commit(lambda session: conclude(session, claimed, later, alone=True))
    assert kit.job(job_id).status == "failed"


def test_work_of_a_kind_that_only_newer_workers_know_is_rescued_for_them(kit: Kit) -> None:
    organisation(kit)
    lost = {"state": "running", "lease_until": 1.0}

    def leave(session: Session) -> str:
        row = work.add(session, "deliver", organisation_id="acme", payload={})
        session.flush()
        session.execute(update(WorkRow).where(WorkRow.id == row.id).values(**lost))
        return row.id

    work_id = kit.commit(leave)
    assert kit.commit(rescue) == 1
    assert kit.read(lambda session: session.get_one(WorkRow, work_id)).state == "queued"
    assert kit.commit(lambda s: work.claim(s, worker="w", kinds=[*KINDS], lease_seconds=9)) is None


def test_who_got_somewhere_has_every_try_anew(kit: Kit, job_id: str) -> None:
    for _ in range(2 * MAX_CRASHES):
        claimed = claim(kit)
        kit.commit(lambda session, held=claimed: work.forgive(session, held))
        kit.commit(lambda session, held=claimed: conclude(session, held, DIED))
        assert kit.job(job_id).status == "queued"
    for _ in range(MAX_CRASHES - 1):
        fails(kit, DIED)
    assert kit.job(job_id).status == "failed"


def expired(kit: Kit, *, losses: int = 0) -> None:
    lost = {"state": "running", "lease_until": 1.0, "losses": losses}
    of = update(WorkRow).where(WorkRow.state.in_(["queued", "running"]))
    kit.commit(lambda session: session.execute(of.values(**lost)))


def refuses(session: Session, *_about: object, **_more: object) -> None:
    """What a database refuses, of one row alone."""
    session.execute(text("INSERT INTO webhook_deliveries (id) VALUES ('dlv_1')"))


def test_what_cannot_be_ended_holds_up_nobody(
    kit: Kit, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = add_job(kit, kit.version(kit.job(job_id).version_id))
    claim(kit)
    of = update(WorkRow).where(WorkRow.state == "running").values(losses=MAX_LOSSES)
    kit.commit(lambda session: session.execute(of))
    expired(kit, losses=MAX_LOSSES)
    monkeypatch.setattr(jobs, "advance_job", refuses)
    assert kit.commit(rescue) == 2
    states = kit.read(lambda session: session.scalars(select(WorkRow.state)).all())
    assert states.count("running") == 2, "they wait for their leases, each apart"
    monkeypatch.undo()
    expired(kit, losses=MAX_LOSSES)
    kit.commit(rescue)
    assert {kit.job(one).status for one in (job_id, other)} <= {"failed", "queued"}


def test_the_loop_goes_on_where_an_end_cannot_be_written(
    context: Context, job_id: str, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = claim(kit)
    monkeypatch.setattr(jobs, "advance_job", refuses)
    Trainer(context)._record(claimed, HeadstartError("diverged"))
    assert kit.job(job_id).status == "running", "it is left to its lease"


def test_what_cannot_begin_is_concluded_and_the_others_are_claimed(
    context: Context, job_id: str, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "advance_job", refuses)
    found, begun = Trainer(context)._claim()
    assert found is not None
    assert not begun
    row = kit.read(lambda session: session.get_one(WorkRow, found.id))
    assert (row.state, row.errors) == ("queued", 1)


def test_what_the_app_does_is_left_to_those_who_know_who_waits_for_it(kit: Kit) -> None:
    organisation(kit)
    run = {"run": "run_1"}
    kit.commit(lambda session: work.add(session, "hook", organisation_id="acme", payload=run))
    expired(kit, losses=MAX_LOSSES)
    assert kit.commit(rescue) == 0
    rows = kit.read(lambda session: session.scalars(select(WorkRow)).all())
    assert [(row.state, row.losses) for row in rows] == [("running", MAX_LOSSES)]
