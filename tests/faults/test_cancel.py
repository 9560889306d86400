"""Promise 8: in every race of a cancel with a finish, one terminal state and no model after it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.job_state import TERMINAL
from app.infra.database import Sessions, make_sessions, now, open_engine, reading, transaction
from app.infra.migrate import migrate
from app.infra.orm import EventRow, JobRow, ModelRow, WorkRow
from app.infra.repositories import jobs, work
from app.infra.repositories.work import Claim, LostClaimError
from app.infra.storage import LocalStorage
from tests.factories import claim_job, finish_job, make_dataset
from tests.faults.counts import times
from tests.servers import postgres_database

RACES = times(60, 500)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def sessions(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sessions]:
    if request.param == "sqlite":
        yield from _sessions(f"sqlite:///{tmp_path / 'headstart.db'}")
        return
    with postgres_database(request.getfixturevalue("postgres")) as url:
        yield from _sessions(url)


def _sessions(url: str) -> Iterator[Sessions]:
    engine = open_engine(url)
    migrate(engine)
    yield make_sessions(engine)
    engine.dispose()


@pytest.fixture
def version_id(sessions: Sessions) -> str:
    with transaction(sessions) as session:
        return make_dataset(session).id


def queue_job(sessions: Sessions, version_id: str) -> str:
    with transaction(sessions) as session:
        job = JobRow(
            id=new_id("ftjob-"),
            organisation_id="default",
            status="queued",
            backbone="efficientnet_lite0",
            dataset_id="ds_1",
            version_id=version_id,
            method="auto",
            hyperparameters={},
            seed=0,
            created_at=now(session),
        )
        session.add(job)
        work.add(session, "fine_tune", organisation_id="default", payload={}, job_id=job.id)
        return job.id


def claimed_job(sessions: Sessions, version_id: str) -> tuple[str, Claim]:
    job_id = queue_job(sessions, version_id)
    with transaction(sessions) as session:
        claim = claim_job(session)
    assert claim is not None
    return job_id, claim


def together(*steps: Callable[[], str]) -> list[str]:
    """Run the steps at the same moment; what each answered."""
    barrier = threading.Barrier(len(steps))
    answers = [""] * len(steps)

    def run(place: int) -> None:
        barrier.wait()
        answers[place] = steps[place]()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(steps))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def canceller(sessions: Sessions, job_id: str) -> Callable[[], str]:
    def cancel() -> str:
        try:
            with transaction(sessions) as session:
                jobs.cancel_job(session, job_id)
        except HeadstartError as error:
            return error.code
        return "cancelled"

    return cancel


def finisher(
    sessions: Sessions, claim: Claim, storage: LocalStorage, folder: Path
) -> Callable[[], str]:
    def finish() -> str:
        try:
            with transaction(sessions) as session:
                finish_job(session, claim, storage, folder)
        except LostClaimError:
            return "lost"
        return "succeeded"

    return finish


@pytest.mark.parametrize("first", ["cancel", "finish"])
def test_a_cancel_or_a_finish_that_comes_first_stays(
    sessions: Sessions, version_id: str, tmp_path: Path, first: str
) -> None:
    job_id, claim = claimed_job(sessions, version_id)
    cancel = canceller(sessions, job_id)
    finish = finisher(sessions, claim, LocalStorage(tmp_path / "storage"), tmp_path)
    if first == "cancel":
        assert (cancel(), finish()) == ("cancelled", "lost")
        assert check(sessions, job_id) == "cancelled"
    else:
        assert (finish(), cancel()) == ("succeeded", "invalid_transition")
        assert check(sessions, job_id) == "succeeded"


@pytest.mark.promise(8)
def test_a_cancel_and_a_finish_at_once_leave_one_terminal_state(
    sessions: Sessions, version_id: str, tmp_path: Path
) -> None:
    """Which of the two wins is the machine's affair, so each starts first in half of the races."""
    storage, ends = LocalStorage(tmp_path / "storage"), {"cancelled", "succeeded"}
    for race in range(RACES):
        job_id, claim = claimed_job(sessions, version_id)
        cancel = canceller(sessions, job_id)
        finish = finisher(sessions, claim, storage, tmp_path)
        steps = (cancel, finish) if race % 2 else (finish, cancel)
        answers = set(together(*steps))
        assert answers in ({"cancelled", "lost"}, {"succeeded", "invalid_transition"})
        assert {check(sessions, job_id)} == answers & ends


@pytest.mark.promise(8)
def test_a_cancel_and_a_claim_never_run_a_cancelled_job(
    sessions: Sessions, version_id: str
) -> None:
    def claim() -> str:
        with transaction(sessions) as session:
            return "nothing" if claim_job(session) is None else "claimed"

    for _ in range(RACES // 2):
        job_id = queue_job(sessions, version_id)
        answers = together(canceller(sessions, job_id), claim)
        assert answers[0] == "cancelled"
        assert check(sessions, job_id) == "cancelled"
        with reading(sessions) as session:
            started = session.get_one(JobRow, job_id).started_at
        assert (started is not None) == (answers[1] == "claimed")


@pytest.mark.promise(8)
def test_two_cancels_make_one(sessions: Sessions, version_id: str) -> None:
    for _ in range(RACES // 4):
        job_id = queue_job(sessions, version_id)
        cancel = canceller(sessions, job_id)
        assert sorted(together(cancel, cancel, cancel)) == [
            "cancelled",
            "invalid_transition",
            "invalid_transition",
        ]
        check(sessions, job_id)


def check(sessions: Sessions, job_id: str) -> str:
    """The job's one terminal state, with which its history, work and model agree."""
    with reading(sessions) as session:
        job = session.get_one(JobRow, job_id)
        said = session.scalars(select(EventRow.message).where(EventRow.job_id == job_id))
        ends = [message for message in said if message in {f"Job {end}" for end in TERMINAL}]
        states = session.scalars(select(WorkRow.state).where(WorkRow.job_id == job_id)).all()
        models = session.scalars(select(ModelRow).where(ModelRow.job_id == job_id)).all()
    assert ends == [f"Job {job.status}"]
    assert states == [{"succeeded": "done"}.get(job.status, "cancelled")]
    assert len(models) == (job.status == "succeeded")
    assert job.finished_at is not None
    return job.status
