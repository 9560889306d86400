"""Custom Vision's projects: found only through their organisation."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete as delete_from
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.infra.database import now
from app.infra.orm import VisionProjectRow


def create(
    session: Session,
    *,
    organisation_id: str,
    name: str,
    description: str,
    domain_id: str,
    classification_type: str,
) -> VisionProjectRow:
    """A project without images."""
    at = now(session)
    row = VisionProjectRow(
        id=new_id("cvp_"),
        organisation_id=organisation_id,
        name=name,
        description=description,
        domain_id=domain_id,
        classification_type=classification_type,
        tags=[],
        created_at=at,
        updated_at=at,
    )
    session.add(row)
    session.flush()
    return row


def listing(session: Session, *, organisation_id: str) -> Sequence[VisionProjectRow]:
    """All projects of the organisation, newest first: their shape has no pages."""
    statement = select(VisionProjectRow).where(VisionProjectRow.organisation_id == organisation_id)
    return session.scalars(statement.order_by(VisionProjectRow.id.desc())).all()


def find(
    session: Session, project_id: str, *, organisation_id: str, lock: bool = False
) -> VisionProjectRow:
    """One project; locked until the transaction ends, if wished. Raises not_found."""
    statement = select(VisionProjectRow).where(
        VisionProjectRow.id == project_id, VisionProjectRow.organisation_id == organisation_id
    )
    row = session.scalars(statement.with_for_update() if lock else statement).one_or_none()
    if row is None:
        raise HeadstartError("not_found", "there is no such project", param="project")
    return row


def delete(session: Session, project_id: str, *, organisation_id: str) -> None:
    """Forget a project; its dataset and models are the caller's to remove or keep."""
    session.execute(
        delete_from(VisionProjectRow).where(
            VisionProjectRow.id == project_id, VisionProjectRow.organisation_id == organisation_id
        )
    )
