"""What two write at once that wait for each other's rows, on a real Postgres."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.infra.database import now, repeated, transaction
from app.infra.orm import DatasetVersionRow, OrganisationRow, WebhookRow, WorkRow
from app.infra.repositories import datasets, jobs, work
from app.infra.repositories.retraining import webhooks
from tests.servers import postgres_server, wait_for
from tests.worker_kit import Kit, add_dataset, add_embed, add_job, open_kit, organisation

pytestmark = pytest.mark.servers
MEMBERS = [("a", "a", b"1"), ("b", "b", b"2")]
Step = Callable[[Session], object]


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    with postgres_server() as url:
        made = open_kit(tmp_path, database_url=url)
        yield made
        made.engine.dispose()


@pytest.fixture
def other() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def is_one_waiting(kit: Kit) -> bool:
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    return bool(kit.read(lambda session: session.execute(text(blocked)).scalar_one()))


def begins(kit: Kit, other: ThreadPoolExecutor, step: Step) -> Future[object]:
    """Another transaction, which has begun to wait for the one that is open here."""
    begun = other.submit(kit.commit, step)
    wait_for(lambda: is_one_waiting(kit))
    return begun


def add_webhook(kit: Kit) -> str:
    organisation(kit)

    def insert(session: Session) -> str:
        at = now(session)
        row = WebhookRow(
            id=new_id("we_"), organisation_id="acme", url="https://example.com/",
            description="", events=["*"], enabled=True, secret="", created_at=at, updated_at=at,
        )  # fmt: skip
        session.add(row)
        return row.id

    return kit.commit(insert)


def emit(session: Session) -> None:
    webhooks.emit(session, "job.cancelled", {}, organisation_id="acme")
    session.flush()


def remove(session: Session, webhook_id: str) -> None:
    session.delete(webhooks.held(session, webhook_id, organisation_id="acme", going=True))


def test_an_event_is_written_although_a_webhook_goes(kit: Kit, other: ThreadPoolExecutor) -> None:
    going, stays = add_webhook(kit), add_webhook(kit)
    with transaction(kit.sessions) as session:
        remove(session, going)
        session.flush()
        told = begins(kit, other, emit)
    told.result(60)
    pending = webhooks.pending
    row = kit.read(lambda session: session.get_one(WebhookRow, stays))
    assert kit.read(lambda session: pending(session, row, type_="job.cancelled")) == 1


def test_a_webhook_goes_after_the_event_that_is_written_for_it(
    kit: Kit, other: ThreadPoolExecutor
) -> None:
    going = add_webhook(kit)
    with transaction(kit.sessions) as session:
        emit(session)
        gone = begins(kit, other, lambda session: remove(session, going))
    gone.result(60)
    assert kit.read(lambda session: session.get(WebhookRow, going)) is None


def test_of_two_who_delete_a_webhook_one_finds_none(kit: Kit, other: ThreadPoolExecutor) -> None:
    going = add_webhook(kit)
    with transaction(kit.sessions) as session:
        remove(session, going)
        session.flush()
        late = begins(kit, other, lambda session: remove(session, going))
    with pytest.raises(HeadstartError, match="no such webhook"):
        late.result(60)


def claimed_chunk(kit: Kit) -> work.Claim:
    found = kit.commit(
        lambda session: work.claim(session, worker="w", kinds=["embed"], lease_seconds=60)
    )
    assert found is not None
    return found


def test_a_dataset_is_deleted_after_its_version_has_become_ready(
    kit: Kit, other: ThreadPoolExecutor
) -> None:
    """The trainer writes to the version twice, for which Postgres looks the dataset up."""
    version = add_dataset(kit, MEMBERS)
    claim = claimed_chunk(kit)
    with transaction(kit.sessions) as session:
        work.hold(session, claim)
        gone = begins(
            kit,
            other,
            lambda session: datasets.remove(session, version.dataset_id, organisation_id="acme"),
        )
        for status in ("processing", "ready"):
            session.execute(
                update(DatasetVersionRow)
                .where(DatasetVersionRow.id == version.id)
                .values(status=status)
            )
    gone.result(60)
    assert kit.read(lambda session: session.get(DatasetVersionRow, version.id)) is None


def on_another_backbone(kit: Kit, number: int) -> list[str]:
    """Jobs on a ready dataset that wait for its chunks on another backbone."""
    version = add_dataset(kit, MEMBERS)
    kit.commit(lambda session: session.execute(update(WorkRow).values(state="done")))
    ready = update(DatasetVersionRow).values(status="ready")
    kit.commit(lambda session: session.execute(ready))
    made = [add_job(kit, version, backbone="other") for _ in range(number)]
    kit.commit(lambda session: add_embed(session, version, backbone="other", chunk=10))
    return made


def test_a_job_is_cancelled_while_its_chunk_is_told_of(kit: Kit, other: ThreadPoolExecutor) -> None:
    """The trainer holds its chunk, and then the jobs that wait for it."""
    (job,) = on_another_backbone(kit, 1)
    claim = claimed_chunk(kit)
    with transaction(kit.sessions) as session:
        work.hold(session, claim)
        cancelled = begins(kit, other, lambda session: jobs.cancel_job(session, job))
        work.lock_jobs(session, [job])
    cancelled.result(60)
    assert kit.job(job).status == "cancelled"


def test_of_two_jobs_that_are_cancelled_at_once_the_second_ends_what_both_wanted(
    kit: Kit, other: ThreadPoolExecutor
) -> None:
    first, second = on_another_backbone(kit, 2)
    with transaction(kit.sessions) as session:
        jobs.cancel_job(session, first)
        session.flush()
        late = begins(kit, other, lambda session: jobs.cancel_job(session, second))
    late.result(60)
    states = select(WorkRow.state).where(WorkRow.kind == "embed", WorkRow.backbone == "other")
    assert set(kit.read(lambda session: session.scalars(states).all())) == {"cancelled"}


def collide(kit: Kit, runs: Callable[[Step], object]) -> list[Exception]:
    """Two who lock two rows the other way round; what they raise."""
    for name in ("a", "b"):
        organisation(kit, name)
    both, failed = threading.Barrier(2), list[Exception]()
    met = threading.local()

    def step(session: Session, names: str) -> None:
        for name in names:
            session.execute(
                select(OrganisationRow.id).where(OrganisationRow.id == name).with_for_update()
            )
            if not getattr(met, "once", False):
                met.once = True
                both.wait(60)

    def go(names: str) -> None:
        try:
            runs(lambda session: step(session, names))
        except HeadstartError as error:
            failed.append(error)

    threads = [threading.Thread(target=go, args=(names,)) for names in ("ab", "ba")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return failed


def test_who_is_given_up_for_another_is_told_that(kit: Kit) -> None:
    (error,) = collide(kit, kit.commit)
    assert isinstance(error, HeadstartError)
    assert (error.code, error.retry_after) == ("database_busy", 1)


def test_a_step_that_may_be_repeated_is(kit: Kit) -> None:
    assert not collide(kit, lambda step: repeated(kit.sessions, step))
