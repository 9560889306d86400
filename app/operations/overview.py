"""What an organisation has and waits for, counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.infra.database import now
from app.infra.orm import DatasetRow, ModelRow, SegmentRow, WorkRow


@dataclass(frozen=True)
class Holding:
    """A piece of work in some worker's hands, and the seconds until others may take it."""

    worker: str
    kind: str
    lease_seconds: float | None


def waiting(session: Session, organisation_id: str) -> Mapping[tuple[str, str], int]:
    """The organisation's work by kind and state, queued or running."""
    statement = (
        select(WorkRow.kind, WorkRow.state, func.count())
        .where(WorkRow.organisation_id == organisation_id, WorkRow.state.in_(["queued", "running"]))
        .group_by(WorkRow.kind, WorkRow.state)
    )
    return {(kind, state): count for kind, state, count in session.execute(statement)}


def holdings(session: Session, organisation_id: str) -> list[Holding]:
    """Which workers hold the organisation's work."""
    at = now(session)
    statement = select(WorkRow.claimed_by, WorkRow.kind, WorkRow.lease_until).where(
        WorkRow.organisation_id == organisation_id,
        WorkRow.state == "running",
        WorkRow.claimed_by.is_not(None),
    )
    return [
        Holding(str(name), kind, None if until is None else round(until - at, 1))
        for name, kind, until in session.execute(statement.order_by(WorkRow.claimed_by).limit(100))
    ]


def stored_bytes(session: Session, organisation_id: str) -> dict[str, int]:
    """Bytes of the organisation's uploads, cached embeddings and heads."""
    columns = {
        "examples": (DatasetRow.bytes, DatasetRow.organisation_id),
        "embeddings": (SegmentRow.bytes, SegmentRow.organisation_id),
        "models": (ModelRow.bytes, ModelRow.organisation_id),
    }
    return {
        name: int(
            session.scalar(select(func.coalesce(func.sum(size), 0)).where(owner == organisation_id))
            or 0
        )
        for name, (size, owner) in columns.items()
    }
