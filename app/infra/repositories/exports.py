"""Exports of models: each is one row of work that is found by its name, and done over and over."""

from __future__ import annotations

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from app.core import exports
from app.core.errors import HeadstartError
from app.infra.database import now
from app.infra.orm import ModelRow, WorkRow
from app.infra.repositories import work

KIND = "export"
PRIORITY = 1
"""Somebody waits, but whoever waits for a job has first claim."""


def find(session: Session, model: ModelRow, export_format: str) -> WorkRow | None:
    """The work of an export, if anybody has asked for it yet."""
    return session.get(WorkRow, exports.work_id(model.artifact, export_format))


def ask(session: Session, model: ModelRow, export_format: str, *, stale: float | None) -> WorkRow:
    """Queue an export unless it is queued, running or done. Raises not_found.

    The lock on the model has the second of two who ask at once find the first one's row; `stale`
    is the `finished_at` of a row whose outcome is of no use any more: it is done again.
    """
    lock = select(ModelRow.id).where(ModelRow.id == model.id).with_for_update()
    if session.scalars(lock).one_or_none() is None:
        raise HeadstartError("not_found", "there is no such model", param="model")
    row = find(session, model, export_format)
    if row is None:
        return _added(session, model, export_format)
    if row.finished_at is not None and row.finished_at == stale:
        _queue_again(session, row)
    return row


def _added(session: Session, model: ModelRow, export_format: str) -> WorkRow:
    row = work.add(
        session,
        KIND,
        organisation_id=model.organisation_id,
        payload={
            "model": model.id,
            "format": export_format,
            "key": exports.key_of(model.artifact, export_format),
        },
        priority=PRIORITY,
        backbone=model.backbone,
    )
    row.id = exports.work_id(model.artifact, export_format)
    session.flush()
    return row


def _queue_again(session: Session, row: WorkRow) -> None:
    row.state, row.fence = "queued", row.fence + 1
    row.errors = row.crashes = row.losses = 0
    row.error = row.finished_at = None
    row.not_before = 0.0
    work.announce(session, row)
    session.flush()


def forget(session: Session, artifact: str) -> None:
    """Drop the exports of a model that goes; whoever makes one right now loses the claim."""
    ids = [exports.work_id(artifact, export_format) for export_format in exports.FORMATS]
    session.execute(delete(WorkRow).where(WorkRow.id.in_(ids)))


def kept(session: Session) -> set[str]:
    """The keys of exports that are being made, or were made less than a day ago."""
    recent = WorkRow.finished_at > now(session) - exports.KEEP_SECONDS
    rows = session.scalars(
        select(WorkRow.payload).where(
            WorkRow.kind == KIND, or_(WorkRow.state.in_(["queued", "running"]), recent)
        )
    )
    return {str(payload["key"]) for payload in rows}
