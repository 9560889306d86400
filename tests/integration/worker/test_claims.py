"""Claim, lease and fence on both databases, under as many threads as a small fleet has workers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import bindparam, select, text, update
from sqlalchemy.orm import Session

from app.infra.database import clock_sql, now
from app.infra.lanes import Lanes
from app.infra.orm import DatasetVersionRow, WorkRow
from app.infra.repositories import work
from app.infra.repositories.picking import OVERDUE_SECONDS, claim_sql
from app.infra.repositories.work import MAX_LOSSES, Claim, LostClaimError
from tests.worker_kit import Kit, add_dataset, add_job, organisation

KINDS = ("embed", "fine_tune")


def add(kit: Kit, number: int = 1, *, org: str = "acme", **values: Any) -> list[str]:
    organisation(kit, org)

    def insert(session: Session) -> list[str]:
        rows = [
            work.add(session, "embed", organisation_id=org, payload={"n": n}, **values)
            for n in range(number)
        ]
        return [row.id for row in rows]

    return kit.commit(insert)


def claim(
    kit: Kit, worker: str = "w", lease: float = 60.0, *, overdue: bool = False
) -> Claim | None:
    return kit.commit(
        lambda session: work.claim(
            session, worker=worker, kinds=KINDS, lease_seconds=lease, overdue=overdue
        )
    )


def must_claim(kit: Kit, **options: Any) -> Claim:
    found = claim(kit, **options)
    assert found is not None
    return found


def expire(kit: Kit, claimed: Claim) -> None:
    past = update(WorkRow).where(WorkRow.id == claimed.id).values(lease_until=1.0)
    kit.commit(lambda session: session.execute(past))


def row(kit: Kit, work_id: str) -> WorkRow:
    return kit.read(lambda session: session.get_one(WorkRow, work_id))


def loses(kit: Kit, step: Callable[[Session], object]) -> None:
    with pytest.raises(LostClaimError):
        kit.commit(step)


def test_eight_threads_share_the_work_without_a_double(kit: Kit) -> None:
    wanted = add(kit, 80)
    taken: Counter[str] = Counter()
    lock = threading.Lock()

    def consume(name: str) -> None:
        while (found := claim(kit, name)) is not None:
            with lock:
                taken[found.id] += 1
            kit.commit(lambda session, c=found: work.finish(session, c))

    threads = [threading.Thread(target=consume, args=(f"w{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = kit.read(lambda s: list(s.scalars(select(WorkRow.id).where(WorkRow.state != "done"))))
    assert not left
    assert taken == Counter(wanted)


def test_organisations_take_turns_and_each_is_served_in_order(kit: Kit) -> None:
    first, second = add(kit, 4, org="a"), add(kit, 2, org="b")
    order = [must_claim(kit).id for _ in range(6)]
    assert [i for i in order if i in first] == first
    assert [i for i in order if i in second] == second
    assert {order[0] in first, order[1] in first} == {True, False}
    assert {order[2] in first, order[3] in first} == {True, False}


def test_idle_work_waits_for_everybody(kit: Kit) -> None:
    idle = add(kit, 1, org="a", priority=10)
    wanted = add(kit, 2, org="b")
    assert [must_claim(kit).id for _ in range(3)] == [*wanted, *idle]


def waited(kit: Kit, work_ids: list[str], seconds: float) -> None:
    def age(session: Session) -> None:
        rows = update(WorkRow).where(WorkRow.id.in_(work_ids))
        session.execute(rows.values(created_at=now(session) - seconds))

    kit.commit(age)


def test_bulk_that_has_waited_long_may_pass_urgent_work_now_and_then(kit: Kit) -> None:
    (bulk,), (fresh,) = add(kit, org="a", priority=5), add(kit, org="a", priority=5)
    (idle,) = add(kit, org="a", priority=10)
    urgent = add(kit, 3, org="a")
    waited(kit, [bulk, idle], OVERDUE_SECONDS + 10)
    assert must_claim(kit).id == urgent[0]
    passing = must_claim(kit, overdue=True)
    assert (passing.id, passing.priority) == (bulk, 0)
    assert [must_claim(kit, overdue=True).id for _ in range(4)] == [*urgent[1:], fresh, idle]


def test_bulk_that_passes_nobody_keeps_its_priority(kit: Kit) -> None:
    (bulk,) = add(kit, priority=5)
    waited(kit, [bulk], OVERDUE_SECONDS + 10)
    assert must_claim(kit, overdue=True).priority == 5


def test_why_work_was_postponed_is_known_until_it_is_given_back_otherwise(kit: Kit) -> None:
    add(kit)
    why = {"code": "storage_unavailable", "message": "away", "param": None, "times": 1}
    first = must_claim(kit)
    assert first.error is None
    kit.commit(lambda session: work.give_back(session, first, error=why))
    second = must_claim(kit)
    assert second.error == why
    kit.commit(lambda session: work.give_back(session, second))
    assert must_claim(kit).error is None


def test_postponed_work_is_not_ready(kit: Kit) -> None:
    (work_id,) = add(kit)
    later = update(WorkRow).values(not_before=1e12)
    kit.commit(lambda session: session.execute(later))
    assert claim(kit) is None
    due = kit.read(work.seconds_to_next)
    assert due is not None
    assert due > 1e9
    assert row(kit, work_id).state == "queued"


def test_a_claim_names_its_worker_and_raises_the_fence(kit: Kit) -> None:
    add(kit)
    first = must_claim(kit, worker="one")
    assert row(kit, first.id).claimed_by == "one"
    kit.commit(lambda session: work.give_back(session, first))
    second = must_claim(kit, worker="two")
    assert second.fence > first.fence
    assert second.id == first.id


@pytest.mark.parametrize(
    "step",
    [
        lambda session, old: work.heartbeat(session, old, lease_seconds=1),
        work.hold,
        work.finish,
        work.give_back,
    ],
)
def test_an_old_fence_can_write_nothing(kit: Kit, step: Callable[[Session, Claim], object]) -> None:
    add(kit)
    old = must_claim(kit)
    expire(kit, old)
    kit.commit(work.rescue)
    loses(kit, lambda session: step(session, old))
    new = must_claim(kit)
    loses(kit, lambda session: step(session, old))
    kit.commit(lambda session: work.finish(session, new))
    loses(kit, lambda session: step(session, new))


def test_a_heartbeat_keeps_the_lease(kit: Kit) -> None:
    add(kit)
    claimed = must_claim(kit, lease=0.0)
    kit.commit(lambda session: work.heartbeat(session, claimed, lease_seconds=60))
    assert kit.commit(work.rescue) == ([], [])
    assert kit.read(lambda session: work.held(session, claimed))
    left = (row(kit, claimed.id).lease_until or 0) - kit.read(now)
    assert 50 < left <= 60


def test_lost_workers_have_a_budget(kit: Kit) -> None:
    add(kit)
    for losses in range(1, MAX_LOSSES):
        expire(kit, must_claim(kit))
        queued, spent = kit.commit(work.rescue)
        assert [c.losses for c in queued] == [losses]
        assert not spent
    expire(kit, must_claim(kit))
    queued, spent = kit.commit(work.rescue)
    assert not queued
    assert [c.losses for c in spent] == [MAX_LOSSES]
    kit.commit(lambda session: work.finish(session, spent[0], "failed"))
    assert row(kit, spent[0].id).state == "failed"


def test_withdrawn_work_is_lost_to_its_worker_and_claimed_by_nobody(kit: Kit) -> None:
    queued, running = add(kit, 2, job_id="ftjob-1")
    claimed = must_claim(kit)
    kit.commit(lambda session: work.withdraw(session, job_id="ftjob-1"))
    assert {row(kit, work_id).state for work_id in (queued, running)} == {"cancelled"}
    assert claim(kit) is None
    assert not kit.read(lambda session: work.held(session, claimed))
    loses(kit, lambda session: work.finish(session, claimed))


def test_urgent_work_is_seen_from_idle_work_and_from_batches(kit: Kit) -> None:
    add(kit, 1, priority=5)

    def urgent(before: int) -> bool:
        return kit.read(lambda session: work.urgent(session, kinds=KINDS, before=before))

    assert urgent(10)
    assert not urgent(5)
    add(kit, 1)
    assert urgent(5)
    assert urgent(1)


def test_the_next_wake_up_is_the_next_lease_to_run_out(kit: Kit) -> None:
    assert kit.read(work.seconds_to_next) is None
    add(kit, 2)
    must_claim(kit, lease=500)
    must_claim(kit, lease=100)
    due = kit.read(work.seconds_to_next)
    assert due is not None
    assert 90 < due <= 100


def test_a_claim_under_way_locks_the_row_that_it_takes_and_no_other(kit: Kit) -> None:
    if kit.engine.dialect.name == "sqlite":
        pytest.skip("SQLite's claims come one after the other")
    first, second = add(kit, 2)
    (rivals,) = add(kit, 1, org="rival")
    with kit.sessions.begin() as session:
        clock = clock_sql(session)
        pick = claim_sql(dialect="postgresql", clock=clock, overdue=False, lanes=Lanes())
        taken = session.execute(
            text(pick).bindparams(bindparam("kinds", expanding=True)),
            {"worker": "a", "lease": 60.0, "kinds": list(KINDS)},
        ).scalar_one()
        others = [must_claim(kit, worker="b").id, must_claim(kit, worker="c").id]
    assert {taken, *others} == {first, second, rivals}


def test_a_job_on_several_backbones_waits_for_the_chunks_of_each_and_of_no_other(kit: Kit) -> None:
    """`_` in a name is a letter: what reads like a pattern must not match other names."""
    version = add_dataset(kit, [("a/0", "a", b"x"), ("b/0", "b", b"y")], backbone="lite_2")
    kit.commit(
        lambda session: session.execute(
            update(DatasetVersionRow)
            .where(DatasetVersionRow.id == version.id)
            .values(status="ready")
        )
    )
    own = must_claim(kit)
    waiting = add_job(kit, version, backbone="lite0+lite_2")
    other = add_job(kit, version, backbone="lite0+litex2")
    for claimed in [must_claim(kit) for _ in range(2)]:
        assert claimed.kind == "embed"
        kit.commit(lambda session, c=claimed: work.finish(session, c))
    assert must_claim(kit).job_id == other
    assert claim(kit) is None
    kit.commit(lambda session: work.finish(session, own))
    assert must_claim(kit).job_id == waiting
