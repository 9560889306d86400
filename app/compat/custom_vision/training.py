"""A project's jobs as iterations: which there are, how each stands, what its model is."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.orm import Session

from app.compat.custom_vision.naming import job_id, outside, project_id
from app.compat.custom_vision.projects import project_of, published_in
from app.compat.custom_vision.shapes import VisionIteration, VisionSettings, moment
from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.http.dependencies import Services
from app.infra.database import reading
from app.infra.orm import JobRow
from app.infra.repositories import job_queries
from app.infra.repositories.compat import vision_projects

PROJECT, NAME, DELETED = (f"custom_vision_{part}" for part in ("project", "name", "deleted"))
"""What a job's metadata says of the iteration that it is."""
_MOST = 10_000


def settings_of(session: Session, caller: Identity, project: UUID) -> VisionSettings:
    """How the project classifies. Raises not_found."""
    row = vision_projects.find(session, project_id(project), organisation_id=caller.organisation_id)
    return project_of(row).settings


def jobs_of(session: Session, caller: Identity, project: UUID) -> list[JobRow]:
    """Every job of the project, oldest first."""
    found = job_queries.listing(
        session,
        organisation_id=caller.organisation_id,
        after=None,
        limit=_MOST,
        metadata={PROJECT: str(project)},
    )
    return [snapshot.job for snapshot in reversed(found)]


def job_of(session: Session, caller: Identity, project: UUID, iteration: UUID) -> JobRow:
    """The job that the iteration is. Raises not_found."""
    missing = HeadstartError("not_found", "there is no such iteration", param="iteration")
    try:
        found = job_queries.get(session, job_id(iteration), organisation_id=caller.organisation_id)
    except HeadstartError as error:
        raise missing from error
    notes = notes_of(found.job)
    if notes.get(PROJECT) != str(project) or DELETED in notes:
        raise missing
    return found.job


def iteration_of(
    session: Session, caller: Identity, project: UUID, iteration: UUID
) -> VisionIteration:
    """One iteration. Raises not_found."""
    row = job_of(session, caller, project, iteration)
    published = published_in(session, project, organisation_id=caller.organisation_id)
    return shown(row, published, settings_of(session, caller, project))


def model_of(services: Services, caller: Identity, project: UUID, iteration: UUID) -> str:
    """The iteration's model. Raises not_found, not_ready."""
    with reading(services.sessions) as session:
        row = job_of(session, caller, project, iteration)
        if row.model_id is None:
            raise HeadstartError("not_ready", f"it is {row.status}", param="iteration")
        return row.model_id


def notes_of(row: JobRow) -> dict[str, Any]:
    """What the job says of the iteration that it is."""
    return row.job_metadata or {}


_JOB_STATES: Mapping[str, Literal["Training", "Completed", "Failed"]] = {
    "succeeded": "Completed",
    "failed": "Failed",
    "cancelled": "Failed",
}


def shown(row: JobRow, published: Mapping[str, str], settings: VisionSettings) -> VisionIteration:
    """The iteration as its caller sees it."""
    names = [name for name, model in published.items() if model == row.model_id]
    error = row.error or {}
    finished = row.finished_at
    return VisionIteration(
        id=outside(row.id),
        name=notes_of(row).get(NAME, "Iteration"),
        status=_JOB_STATES.get(row.status, "Training"),
        created=moment(row.created_at),
        last_modified=moment(finished or row.started_at or row.created_at),
        trained_at=moment(finished) if row.model_id and finished else None,
        project_id=notes_of(row)[PROJECT],
        domain_id=settings.domain_id,
        classification_type=settings.classification_type,
        training_time_in_minutes=_minutes(row),
        publish_name=names[0] if names else None,
        training_error_details=error.get("message"),
    )


def _minutes(row: JobRow) -> int:
    if row.started_at is None or row.finished_at is None:
        return 0
    return ceil((row.finished_at - row.started_at) / 60)


def newest_model(services: Services, caller: Identity, project: UUID) -> str:
    """The model of the newest iteration that has one. Raises not_found, not_ready."""
    with reading(services.sessions) as session:
        settings_of(session, caller, project)
        for row in reversed(jobs_of(session, caller, project)):
            if row.model_id and DELETED not in notes_of(row):
                return row.model_id
    raise HeadstartError("not_ready", "no iteration is completed", param="iteration")
