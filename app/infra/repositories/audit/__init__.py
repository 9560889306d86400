"""The audit log: entries are added and, once they are old, dropped; nothing changes one."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from app.core.ids import new_id
from app.infra.database import now
from app.infra.orm import AuditEntryRow

_DAY = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Deed:
    """What was done: by which key from where, to what, as which request, with which status."""

    organisation_id: str
    key_id: str
    action: str
    object_id: str | None
    request_id: str
    address: str | None
    status: int
    at: float | None = None
    """When, of what is written later; None: now."""


def add(session: Session, deed: Deed) -> None:
    """Write an entry."""
    told = asdict(deed)
    at = told.pop("at") or now(session)
    session.add(AuditEntryRow(id=new_id("audit_"), created_at=at, **told))


def newest(organisation_id: str, *, after: str | None = None) -> Select[AuditEntryRow]:
    """An organisation's entries, newest first, those before `after` alone."""
    of = AuditEntryRow
    mine = select(of).where(of.organisation_id == organisation_id).order_by(of.id.desc())
    return mine if after is None else mine.where(of.id < after)


def prune(session: Session, *, days: int, limit: int) -> int:
    """Drop some entries that are older than so many days; 0 keeps all. How many."""
    if not days:
        return 0
    old = AuditEntryRow.created_at < now(session) - days * _DAY
    ids = list(session.scalars(select(AuditEntryRow.id).where(old).limit(limit)))
    gone = delete(AuditEntryRow).where(AuditEntryRow.id.in_(ids))
    session.execute(gone.execution_options(synchronize_session=False))
    return len(ids)
