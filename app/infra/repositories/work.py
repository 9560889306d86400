"""Claim, lease, fence: one code for every kind of work, on both databases.

A claim takes the next row in one statement and raises its fence. Every later write of the worker
names the fence; rowcount 0 means that the claim was lost and the result must be thrown away.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, and_, bindparam, delete, select, text, update
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.infra.database import clock_sql, now
from app.infra.lanes import WORK_KINDS, Lane, Lanes
from app.infra.orm import JobRow, WorkRow
from app.infra.repositories.picking import (
    IDLE,
    claim_sql,
    prepared,
    turn_sql,
    urgent_sql,
    waiting_sql,
)
from app.infra.telemetry import tracing

_ALL = Lanes()
_HELD = "held"
"""The state of what a paused job would have done."""
PASSED = "passed"
"""In the payload of what others' work has passed: nobody is told again."""
KEPT_SECONDS = 30 * 86_400.0
"""So long work that has ended stays for people to look into."""
MAX_ERRORS, MAX_CRASHES, MAX_LOSSES = 3, 3, 20


class LostClaimError(Exception):
    """The fence has moved on: somebody else owns this work now, or it was cancelled."""


@dataclass(frozen=True)
class Claim:
    """One row of work, ours while the lease lasts and the fence stands."""

    id: str
    kind: str
    organisation_id: str
    job_id: str | None
    batch_id: str | None
    version_id: str | None
    backbone: str | None
    priority: int
    payload: dict[str, Any]
    fence: int
    errors: int
    crashes: int
    losses: int
    error: dict[str, Any] | None
    """Why the last try was postponed, where it was."""
    origin: dict[str, Any] | None = None
    """The request and the trace that it came of."""


def claim(
    session: Session,
    *,
    worker: str,
    kinds: Sequence[str],
    lease_seconds: float,
    overdue: bool = False,
    lanes: Lanes = _ALL,
    but: Sequence[str] = (),
) -> Claim | None:
    """The next work of one of `kinds`, fairly across organisations, or None.

    Nothing of the organisations `but`. Of `lanes` it is what wants a GPU, or does not, where they
    take one of these alone.

    With `overdue`, work that is not idle and has waited for ten minutes counts as urgent; where it
    passes what is, the claim has priority 0, so that it does not have to make way at once.
    """
    clock = clock_sql(session)
    dialect = session.get_bind().dialect.name
    sql = claim_sql(dialect=dialect, clock=clock, overdue=overdue, lanes=lanes, but=bool(but))
    told = {"worker": worker, "lease": lease_seconds, "kinds": list(kinds)}
    told |= {"but": list(but)} if but else {}
    work_id = session.execute(*prepared(sql, told, lanes)).scalar_one_or_none()
    if work_id is None:
        return None
    row = session.get_one(WorkRow, work_id, populate_existing=True)
    session.execute(text(turn_sql(clock=clock)), {"id": row.organisation_id})
    bulk = overdue and row.priority < IDLE
    if bulk and urgent(session, kinds=kinds, before=row.priority, lanes=lanes):
        return replace(_claim_of(row), priority=0)
    return _claim_of(row)


def heartbeat(session: Session, claim: Claim, *, lease_seconds: float) -> None:
    """Extend the lease. Raises LostClaimError, after a cancel too: that ends the work at once."""
    clock = clock_sql(session)
    row = session.execute(
        text(
            f"UPDATE work SET lease_until = {clock} + :lease "  # noqa: S608
            "WHERE id = :id AND fence = :fence AND state = 'running' RETURNING id"
        ),
        {"lease": lease_seconds, "id": claim.id, "fence": claim.fence},
    ).one_or_none()
    if row is None:
        raise LostClaimError(claim.id)


def finish(
    session: Session, claim: Claim, state: str = "done", error: dict[str, Any] | None = None
) -> None:
    """End the work, in the same transaction as its effects. Raises LostClaimError."""
    _write(session, claim, state=state, error=error, finished_at=now(session), claimed_by=None)


def fail(session: Session, claim: Claim, error: HeadstartError) -> None:
    """End the work for good. Raises LostClaimError."""
    finish(session, claim, "failed", error.stored())


def hold(session: Session, claim: Claim) -> None:
    """Lock the row for the rest of the transaction, so that effects and fence agree."""
    _write(session, claim)


def give_back(session: Session, claim: Claim, *, delay: float = 0.0, **changes: Any) -> None:
    """Queue the work again; `errors=`, `crashes=` say what it cost, `payload=` what is left.

    `error=` says why it must wait; otherwise nothing is remembered.
    """
    _write(
        session,
        claim,
        state="queued",
        fence=claim.fence + 1,
        claimed_by=None,
        lease_until=None,
        not_before=now(session) + delay if delay else 0.0,
        **{"error": None, **changes},
    )


def forgive(session: Session, claim: Claim) -> None:
    """What it has cost so far counts no more: it has got somewhere that a next try goes on from."""
    _write(session, claim, errors=0, crashes=0, losses=0)


def cost(session: Session, claim: Claim) -> tuple[int, int]:
    """The errors and the crashes that count against it now."""
    columns = select(WorkRow.errors, WorkRow.crashes)
    errors, crashes = session.execute(columns.where(WorkRow.id == claim.id)).one()
    return errors, crashes


def _write(session: Session, claim: Claim, **values: Any) -> None:
    result = session.execute(
        update(WorkRow)
        .where(WorkRow.id == claim.id, WorkRow.fence == claim.fence, WorkRow.state == "running")
        .values(**(values or {"fence": claim.fence}))
        .execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)
    if result.rowcount == 0:
        raise LostClaimError(claim.id)


def held(session: Session, claim: Claim) -> bool:
    """Whether the claim still stands: nobody rescued, cancelled or ended the work."""
    ours = select(WorkRow.id).where(
        WorkRow.id == claim.id, WorkRow.fence == claim.fence, WorkRow.state == "running"
    )
    return session.scalars(ours).first() is not None


def withdraw(
    session: Session,
    *,
    job_id: str | None = None,
    batch_id: str | None = None,
    version_id: str | None = None,
    state: str = "cancelled",
) -> None:
    """End what is still to be done for a job, a batch or a version, whoever has claimed it."""
    of = ((WorkRow.job_id, job_id), (WorkRow.batch_id, batch_id), (WorkRow.version_id, version_id))
    end(session, next(column == value for column, value in of if value), state=state)


def end(session: Session, *about: ColumnElement[bool], state: str = "cancelled") -> None:
    """End such work as is still to be done, whoever has claimed it."""
    session.execute(
        update(WorkRow)
        .where(*about, WorkRow.state.in_(["queued", "running", _HELD]))
        .values(state=state, fence=WorkRow.fence + 1, finished_at=now(session), claimed_by=None)
        .execution_options(synchronize_session=False)
    )


def suspend(session: Session, job_id: str) -> None:
    """Hold a job's work back, whoever has claimed it."""
    session.execute(
        update(WorkRow)
        .where(WorkRow.job_id == job_id, WorkRow.state.in_(["queued", "running"]))
        .values(state=_HELD, fence=WorkRow.fence + 1, claimed_by=None, lease_until=None)
        .execution_options(synchronize_session=False)
    )


def resume(session: Session, job_id: str) -> None:
    """Queue a job's work again that was held back."""
    session.execute(
        update(WorkRow)
        .where(WorkRow.job_id == job_id, WorkRow.state == _HELD)
        .values(state="queued", not_before=0.0)
        .execution_options(synchronize_session=False)
    )
    for row in session.scalars(select(WorkRow).where(WorkRow.job_id == job_id)):
        announce(session, row)


def lock_jobs(session: Session, job_ids: Sequence[str]) -> None:
    """Lock the work of these jobs, always in the same order."""
    _lock(session, WorkRow.job_id.in_(job_ids))


def lock_version(session: Session, version_id: str) -> None:
    """Lock all work of a version, always in the same order."""
    _lock(session, WorkRow.version_id == version_id)


def lock_chunks(
    session: Session, *, version_ids: Collection[str], backbones: Collection[str]
) -> None:
    """Lock what is still to be embedded of these versions by these, always in the same order."""
    of = WorkRow
    wanted = of.kind == "embed", of.version_id.in_(version_ids), of.backbone.in_(backbones)
    _lock(session, and_(*wanted, of.priority == 0, of.state.in_(["queued", "running"])))


def lock_batches(session: Session, batch_ids: Sequence[str]) -> None:
    """Lock the work of these batches, always in the same order."""
    _lock(session, WorkRow.batch_id.in_(batch_ids))


def _lock(session: Session, which: ColumnElement[bool]) -> None:
    session.execute(select(WorkRow.id).where(which).order_by(WorkRow.id).with_for_update()).all()


def prune(session: Session, *, limit: int) -> int:
    """Drop some work that ended long ago: nothing asks for it any more. How many."""
    ended = select(WorkRow.id).where(WorkRow.finished_at < now(session) - KEPT_SECONDS)
    ids = list(session.scalars(ended.limit(limit).with_for_update(skip_locked=True)))
    session.execute(
        delete(WorkRow).where(WorkRow.id.in_(ids)).execution_options(synchronize_session=False)
    )
    return len(ids)


def urgent(
    session: Session, *, kinds: Sequence[str], before: int = 1, lanes: Lanes = _ALL, but: str = ""
) -> bool:
    """Whether work of a priority below `before`, not the organisation `but`'s, could be claimed."""
    sql = urgent_sql(clock=clock_sql(session), lanes=lanes)
    told = {"kinds": list(kinds), "before": before, "but": but}
    return session.execute(*prepared(sql, told, lanes)).first() is not None


def waiting(session: Session, lanes: Lanes) -> set[Lane]:
    """In which lanes, whoever takes them, work that is not idle could be claimed now."""
    sql = waiting_sql(clock=clock_sql(session), lanes=lanes)
    rows = session.execute(*prepared(sql, {"kinds": list(WORK_KINDS)}, lanes))
    return {Lane(kind, bool(gpu)) for kind, gpu in rows}


def seconds_to_next(session: Session) -> float | None:
    """Seconds until a lease runs out or postponed work becomes ready; None where neither is due."""
    clock = clock_sql(session)
    due = session.execute(
        text(
            "SELECT min(CASE WHEN state = 'running' THEN lease_until ELSE not_before END) "  # noqa: S608
            f"- {clock} FROM work WHERE state = 'running' "
            f"OR (state = 'queued' AND not_before > {clock})"
        )
    ).scalar_one()
    return None if due is None else max(0.0, float(due))


def due(session: Session, *, kinds: Sequence[str]) -> set[str]:
    """Which of the kinds have work that could be claimed, or rescued, now."""
    clock = clock_sql(session)
    rows = session.execute(
        text(
            "SELECT DISTINCT kind FROM work WHERE kind IN :kinds AND "  # noqa: S608
            f"((state = 'queued' AND not_before <= {clock}) "
            f"OR (state = 'running' AND lease_until < {clock}))"
        ).bindparams(bindparam("kinds", expanding=True)),
        {"kinds": list(kinds)},
    )
    return set(rows.scalars())


def rescue(
    session: Session, *, kinds: Sequence[str] = (), but: Sequence[str] = ()
) -> tuple[list[Claim], list[Claim]]:
    """Take expired work, of these kinds or of all `but` those, from lost workers: (queued again,
    those whose budget is spent).

    A spent claim stays running under our new fence until the caller finishes it as `worker_lost`.
    """
    clock = clock_sql(session)
    lock = " FOR UPDATE SKIP LOCKED" if session.get_bind().dialect.name == "postgresql" else ""
    of = "kind IN :kinds AND" if kinds else "kind NOT IN :kinds AND" if but else ""
    sql = text(
        f"SELECT id FROM work WHERE {of} state = 'running' AND lease_until < {clock} "  # noqa: S608
        f"LIMIT 100{lock}"
    )
    if kinds or but:
        sql = sql.bindparams(bindparam("kinds", list(kinds or but), expanding=True))
    expired = session.execute(sql).scalars()
    queued: list[Claim] = []
    spent: list[Claim] = []
    for work_id in list(expired):
        row = session.get_one(WorkRow, work_id, populate_existing=True)
        row.fence += 1
        row.losses += 1
        row.error = None
        if row.losses >= MAX_LOSSES:
            row.lease_until = now(session) + 60
            spent.append(_claim_of(row))
        else:
            row.state, row.claimed_by, row.lease_until = "queued", None, None
            queued.append(_claim_of(row))
    session.flush()
    return queued, spent


def _claim_of(row: WorkRow) -> Claim:
    return Claim(
        id=row.id,
        kind=row.kind,
        organisation_id=row.organisation_id,
        job_id=row.job_id,
        batch_id=row.batch_id,
        version_id=row.version_id,
        backbone=row.backbone,
        priority=row.priority,
        payload=row.payload,
        fence=row.fence,
        errors=row.errors,
        crashes=row.crashes,
        losses=row.losses,
        error=row.error,
        origin=row.origin,
    )


def add(
    session: Session,
    kind: str,
    *,
    organisation_id: str,
    payload: dict[str, Any],
    priority: int = 0,
    job_id: str | None = None,
    batch_id: str | None = None,
    version_id: str | None = None,
    backbone: str | None = None,
) -> WorkRow:
    """Queue new work; who commits rings the doorbells that `session.info` tells (`announce`)."""
    row = WorkRow(
        id=new_id("work_"),
        kind=kind,
        organisation_id=organisation_id,
        state="queued",
        priority=priority,
        job_id=job_id,
        batch_id=batch_id,
        version_id=version_id,
        backbone=backbone,
        payload=payload,
        origin=tracing.origin(),
        created_at=now(session),
    )
    session.add(row)
    announce(session, row)
    return row


def announce(session: Session, row: WorkRow) -> None:
    """Note that there is this work, for the doorbells (`app.infra.queue.Announced`)."""
    job = session.get(JobRow, row.job_id) if row.job_id else None
    backbone = job.backbone if job else row.backbone
    noted = session.info.setdefault("work_added", set())
    noted.add((row.kind, job.method if job else None, backbone))
