"""Claim, lease, fence: one code for every kind of work, on both databases.

A claim takes the next row in one statement and raises its fence. Every later write of the worker
names the fence; rowcount 0 means that the claim was lost and the result must be thrown away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, bindparam, text, update
from sqlalchemy.orm import Session

from app.core.ids import new_id
from app.infra.database import clock_sql, now
from app.infra.orm import WorkRow

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
    version_id: str | None
    backbone: str | None
    payload: dict[str, Any]
    fence: int
    errors: int
    crashes: int
    losses: int


_READY = """
  w.state = 'queued' AND w.not_before <= {clock} AND w.kind IN :kinds
  AND (w.kind <> 'fine_tune' OR NOT EXISTS (
    SELECT 1 FROM work e JOIN jobs j ON j.id = w.job_id
    WHERE e.kind = 'embed' AND e.priority = 0 AND e.state IN ('queued', 'running')
      AND e.version_id IN (j.version_id, j.validation_version_id)
      AND (e.backbone = j.backbone OR EXISTS (
        SELECT 1 FROM dataset_versions v WHERE v.id = e.version_id AND v.status = 'processing'))))
"""

_PICK = {
    "sqlite": """
      SELECT w.id FROM work w JOIN organisations o ON o.id = w.organisation_id
      WHERE {ready} ORDER BY w.priority, o.last_claimed_at, w.created_at, w.id LIMIT 1
    """,
    "postgresql": """
      SELECT p.id FROM organisations o CROSS JOIN LATERAL (
        SELECT w.id, w.priority FROM work w WHERE w.organisation_id = o.id AND {ready}
        ORDER BY w.priority, w.created_at, w.id LIMIT 1 FOR UPDATE SKIP LOCKED
      ) p ORDER BY p.priority, o.last_claimed_at LIMIT 1
    """,
}

_CLAIM = """
  UPDATE work SET state = 'running', fence = fence + 1, claimed_by = :worker,
    lease_until = {clock} + :lease
  WHERE id = ({pick}) AND state = 'queued'
  RETURNING id
"""


def claim(
    session: Session, *, worker: str, kinds: Sequence[str], lease_seconds: float
) -> Claim | None:
    """The next work of one of `kinds`, fairly across organisations, or None."""
    clock = clock_sql(session)
    dialect = session.get_bind().dialect.name
    pick = _PICK[dialect].format(ready=_READY.format(clock=clock))
    statement = text(_CLAIM.format(clock=clock, pick=pick)).bindparams(
        bindparam("kinds", expanding=True)
    )
    found = session.execute(
        statement, {"worker": worker, "lease": lease_seconds, "kinds": list(kinds)}
    ).scalar_one_or_none()
    if found is None:
        return None
    row = session.get_one(WorkRow, found, populate_existing=True)
    session.execute(
        text(f"UPDATE organisations SET last_claimed_at = {clock} WHERE id = :id"),  # noqa: S608
        {"id": row.organisation_id},
    )
    return _claim_of(row)


def heartbeat(session: Session, claim: Claim, *, lease_seconds: float) -> bool:
    """Extend the lease; answers whether a cancel was requested. Raises LostClaimError."""
    clock = clock_sql(session)
    row = session.execute(
        text(
            f"UPDATE work SET lease_until = {clock} + :lease "  # noqa: S608
            "WHERE id = :id AND fence = :fence AND state = 'running' RETURNING cancel_requested"
        ),
        {"lease": lease_seconds, "id": claim.id, "fence": claim.fence},
    ).one_or_none()
    if row is None:
        raise LostClaimError(claim.id)
    return bool(row[0])


def finish(
    session: Session, claim: Claim, state: str = "done", error: dict[str, Any] | None = None
) -> None:
    """End the work, in the same transaction as its effects. Raises LostClaimError."""
    _write(session, claim, state=state, error=error, finished_at=now(session), claimed_by=None)


def hold(session: Session, claim: Claim) -> None:
    """Lock the row for the rest of the transaction, so that effects and fence agree."""
    _write(session, claim)


def give_back(session: Session, claim: Claim, *, delay: float = 0.0, **budget: int) -> None:
    """Queue the work again; `errors=`, `crashes=` or `losses=` set what this try has cost."""
    _write(
        session,
        claim,
        state="queued",
        fence=claim.fence + 1,
        claimed_by=None,
        lease_until=None,
        not_before=now(session) + delay if delay else 0.0,
        **budget,
    )


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


def rescue(session: Session) -> tuple[list[str], list[Claim]]:
    """Take expired work from lost workers: (ids queued again, claims whose budget is spent).

    A spent claim stays running under our new fence until the caller finishes it as `worker_lost`.
    """
    clock = clock_sql(session)
    lock = " FOR UPDATE SKIP LOCKED" if session.get_bind().dialect.name == "postgresql" else ""
    expired = session.execute(
        text(
            f"SELECT id FROM work WHERE state = 'running' AND lease_until < {clock} LIMIT 100{lock}"  # noqa: S608
        )
    ).scalars()
    queued, spent = [], []
    for work_id in list(expired):
        row = session.get_one(WorkRow, work_id, populate_existing=True)
        row.fence += 1
        row.losses += 1
        if row.losses >= MAX_LOSSES:
            row.lease_until = now(session) + 60
            spent.append(_claim_of(row))
        else:
            row.state, row.claimed_by, row.lease_until = "queued", None, None
            queued.append(row.id)
    session.flush()
    return queued, spent


def _claim_of(row: WorkRow) -> Claim:
    return Claim(
        id=row.id,
        kind=row.kind,
        organisation_id=row.organisation_id,
        job_id=row.job_id,
        version_id=row.version_id,
        backbone=row.backbone,
        payload=row.payload,
        fence=row.fence,
        errors=row.errors,
        crashes=row.crashes,
        losses=row.losses,
    )


def add(
    session: Session,
    kind: str,
    *,
    organisation_id: str,
    payload: dict[str, Any],
    priority: int = 0,
    job_id: str | None = None,
    version_id: str | None = None,
    backbone: str | None = None,
) -> WorkRow:
    """Queue new work; the doorbell rings after the caller's commit."""
    row = WorkRow(
        id=new_id("work_"),
        kind=kind,
        organisation_id=organisation_id,
        state="queued",
        priority=priority,
        job_id=job_id,
        version_id=version_id,
        backbone=backbone,
        payload=payload,
        created_at=now(session),
    )
    session.add(row)
    session.info["work_added"] = True
    return row
