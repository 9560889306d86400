"""Projects of labelling tools: where they are, and whether their annotations are to be pulled."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.infra.database import now
from app.infra.orm import FeedbackRow, LabellingProjectRow

SOURCE = "label_studio"


def put(
    session: Session, *, organisation_id: str, alias: str, project: str, **values: Any
) -> LabellingProjectRow:
    """The project as it is said to be now."""
    row = session.get(LabellingProjectRow, (organisation_id, alias, project))
    at = now(session)
    if row is None:
        row = LabellingProjectRow(
            organisation_id=organisation_id, alias=alias, project=project, hostname="", token=None,
            label_config="", pending=False, told={}, created_at=at,
        )  # fmt: skip
        session.add(row)
    for name, value in values.items():
        if value is not None:
            setattr(row, name, value)
    row.updated_at = at
    session.flush()
    return row


def find(
    session: Session, *, organisation_id: str, alias: str, project: str
) -> LabellingProjectRow | None:
    """The project, if it was set up."""
    return session.get(LabellingProjectRow, (organisation_id, alias, project))


def latest(session: Session, *, organisation_id: str, alias: str) -> LabellingProjectRow | None:
    """The project that was set up last."""
    of = LabellingProjectRow
    statement = select(LabellingProjectRow).where(
        of.organisation_id == organisation_id, of.alias == alias
    )
    return session.scalars(statement.order_by(of.updated_at.desc()).limit(1)).first()


def is_any_pending(session: Session) -> bool:
    """Whether a project's annotations are to be pulled."""
    statement = select(LabellingProjectRow.project).where(LabellingProjectRow.pending)
    return session.scalars(statement.limit(1)).first() is not None


def take_pending(session: Session) -> list[LabellingProjectRow]:
    """Projects whose annotations are to be pulled; nobody else takes them, until they are asked
    for again.
    """
    of = LabellingProjectRow
    statement = update(LabellingProjectRow).where(of.pending).values(pending=False).returning(of)
    return list(session.scalars(statement))


def said(
    session: Session, row: LabellingProjectRow, prefix: str
) -> dict[str, tuple[str | None, list[str] | None, str]]:
    """What was taken from the project before: label, labels and feedback's id, by subject."""
    of = FeedbackRow
    found = session.execute(
        select(of.subject, of.label, of.labels, of.id).where(
            of.organisation_id == row.organisation_id,
            of.alias == row.alias,
            of.source == SOURCE,
            of.subject.startswith(prefix, autoescape=True),
        )
    )
    return {subject: (label, labels, feedback_id) for subject, label, labels, feedback_id in found}
