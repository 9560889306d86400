"""Jobs, their history and checkpoints as callers read them: always through their organisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.orm import Session, aliased

from app.core.errors import HeadstartError
from app.infra.orm import CheckpointRow, DatasetVersionRow, EventRow, JobRow

_VALIDATION = aliased(DatasetVersionRow)


@dataclass(frozen=True)
class JobSnapshot:
    """A job, and the numbers of its versions while their datasets exist."""

    job: JobRow
    version: int | None
    validation_version: int | None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How long a job took, and what of."""

    seconds: float
    examples: int
    classes: int


def get(session: Session, job_id: str, *, organisation_id: str) -> JobSnapshot:
    """One job as it is now. Raises not_found."""
    statement = _of_organisation(organisation_id).where(JobRow.id == job_id)
    row = session.execute(statement, execution_options={"populate_existing": True}).one_or_none()
    if row is None:
        raise missing()
    return JobSnapshot(*row)


def require(session: Session, job_id: str, *, organisation_id: str) -> None:
    """Raise not_found unless the organisation has this job."""
    owned = select(JobRow.id).where(JobRow.id == job_id, JobRow.organisation_id == organisation_id)
    if session.scalars(owned).one_or_none() is None:
        raise missing()


def listing(
    session: Session,
    *,
    organisation_id: str,
    after: str | None,
    limit: int,
    metadata: Mapping[str, str],
) -> list[JobSnapshot]:
    """At most `limit` jobs that have all of `metadata`, newest first, those older than `after`."""
    statement = _of_organisation(organisation_id)
    if after is not None:
        statement = statement.where(JobRow.id < after)
    for key, value in metadata.items():
        statement = statement.where(_has(session, key, value))
    rows = session.execute(statement.order_by(JobRow.id.desc()).limit(limit))
    return [JobSnapshot(*row) for row in rows]


def _of_organisation(organisation_id: str) -> Select[JobRow, int, int]:
    return (
        select(JobRow, DatasetVersionRow.number, _VALIDATION.number)
        .outerjoin(DatasetVersionRow, DatasetVersionRow.id == JobRow.version_id)
        .outerjoin(_VALIDATION, _VALIDATION.id == JobRow.validation_version_id)
        .where(JobRow.organisation_id == organisation_id)
    )


def _has(session: Session, key: str, value: str) -> ColumnElement[bool]:
    """Members are compared as rows, so that no key has to be quoted into a JSON path."""
    dialect = session.get_bind().dialect.name
    each = func.json_each if dialect == "sqlite" else func.json_each_text
    member = each(JobRow.job_metadata).table_valued("key", "value")
    return exists(select(1).where(member.c.key == key, member.c.value == value))


def durations(
    session: Session, *, method: str, backbone: str, deeper: bool = False
) -> list[Measured]:
    """Of the latest jobs that ended in a model, whoever's they were: those that tried deeper, or
    those that did not.
    """
    of, depth = DatasetVersionRow, func.coalesce(JobRow.hyperparameters["depth"].as_string(), "")
    recent = (
        select(
            JobRow.finished_at - JobRow.started_at,
            of.num_examples,
            func.json_array_length(of.classes),
        )
        .join(of, of.id == JobRow.version_id)
        .where(JobRow.status == "succeeded", JobRow.method == method, JobRow.backbone == backbone)
        .where(depth == "auto" if deeper else depth != "auto")
        .order_by(JobRow.id.desc())
    )
    found = session.execute(recent.limit(9))
    return [
        Measured(seconds=float(seconds or 0), examples=examples, classes=classes)
        for seconds, examples, classes in found
    ]


def newest_events(
    session: Session, job_id: str, *, before: int | None, limit: int
) -> list[EventRow]:
    """At most `limit` events, newest first, those before the event `before`."""
    statement = select(EventRow).where(EventRow.job_id == job_id)
    if before is not None:
        statement = statement.where(EventRow.id < before)
    return list(session.scalars(statement.order_by(EventRow.id.desc()).limit(limit)))


def events_after(session: Session, job_id: str, *, after: int, limit: int) -> list[EventRow]:
    """At most `limit` events, oldest first, those after the event `after`."""
    statement = select(EventRow).where(EventRow.job_id == job_id, EventRow.id > after)
    return list(session.scalars(statement.order_by(EventRow.id).limit(limit)))


def status(session: Session, job_id: str) -> str | None:
    """The job's status; None where there is no such job any more."""
    return session.scalars(select(JobRow.status).where(JobRow.id == job_id)).one_or_none()


def checkpoints(
    session: Session, job_id: str, *, after: str | None, limit: int
) -> list[CheckpointRow]:
    """At most `limit` checkpoints, latest step first, those before `after`.

    Raises invalid_request where `after` is none of this job's.
    """
    statement = select(CheckpointRow).where(CheckpointRow.job_id == job_id)
    if after is not None:
        cursor = session.get(CheckpointRow, after)
        if cursor is None or cursor.job_id != job_id:
            raise HeadstartError("invalid_request", "after: no such checkpoint", param="after")
        statement = statement.where(CheckpointRow.step_number < cursor.step_number)
    return list(session.scalars(statement.order_by(CheckpointRow.step_number.desc()).limit(limit)))


def missing() -> HeadstartError:
    """The same answer for a job that never was and for somebody else's."""
    return HeadstartError("not_found", "there is no such fine-tuning job", param="job")
