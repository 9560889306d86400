"""Carrying deletions out: at once as far as it goes, by a trainer where it does not."""

from __future__ import annotations

import structlog
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.http.dependencies import Services
from app.http.schemas import DeletedPart, Deletion
from app.infra import erasure
from app.infra.database import reading
from app.infra.orm import DeletionRow
from app.infra.repositories import deletions

log = structlog.get_logger()
_COPIES_SECONDS = 2 * 3600.0
"""Every hour, copies of what is gone are dropped: in memory, and those that hosts have fetched."""


def carried_out(services: Services, deletion_id: str, *, organisation_id: str) -> Deletion:
    """Do what a deletion has left to do, and tell how far it is. Blocks."""
    finish(services, organisation_id)
    with reading(services.sessions) as session:
        row = deletions.get(session, deletion_id, organisation_id=organisation_id)
        return deletion_of(session, row)


def finish(services: Services, organisation_id: str) -> None:
    """Do what deletions have left; what cannot be done now, a trainer does."""
    try:
        erasure.finish(services.sessions, services.storage, organisation_id)
    except (HeadstartError, OSError) as error:
        log.warning("contents are left to be forgotten by a trainer", reason=error)


def deletion_of(session: Session, row: DeletionRow) -> Deletion:
    """The deletion as callers see it."""
    done = row.finished_at is not None
    return Deletion(
        id=row.id,
        subject=DeletedPart(object=row.object, id=row.object_id),
        status="done" if done else "pending",
        created_at=int(row.created_at),
        finished_at=None if row.finished_at is None else int(row.finished_at),
        copies_gone_at=None if row.finished_at is None else int(row.finished_at + _COPIES_SECONDS),
        removed=row.removed,
        kept=row.kept,
        remaining={} if done else deletions.remaining(session, row),
    )
