"""Jobs and their history: every change of state, every event, in the caller's transaction.

Locks are always taken in the order work (what is embedded before what is fitted), then version,
then job, so that a cancel, a finish and a
rescue of the same job queue up instead of deadlocking. Whoever adds an event holds the job's row,
so that the ids of one job's events grow in the order of their commits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core import job_state
from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.job_state import TERMINAL, JobStatus
from app.infra.database import now
from app.infra.orm import CheckpointRow, EventRow, JobRow
from app.infra.repositories import chunks, work
from app.infra.repositories.retraining import endings

Level = Literal["info", "warn", "error"]

WAITING: tuple[JobStatus, ...] = ("validating_files", "queued")


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of a job's history, before it has an id and a time."""

    message: str
    level: Level = "info"
    data: dict[str, Any] | None = None
    """Of a `metrics` event: the numbers, and `step`."""

    @property
    def type(self) -> str:
        """`metrics` where there are numbers, otherwise `message`."""
        return "message" if self.data is None else "metrics"


@dataclass(frozen=True, kw_only=True)
class NewCheckpoint:
    """The metrics after one step of training."""

    step_number: int
    metrics: dict[str, Any] = field(default_factory=dict)


def lock_job(session: Session, job_id: str) -> JobRow:
    """The job's row, locked until the transaction ends. Raises not_found."""
    statement = select(JobRow).where(JobRow.id == job_id).with_for_update()
    row = session.execute(statement, execution_options={"populate_existing": True}).scalar()
    if row is None:
        raise HeadstartError("not_found", f"no job {job_id}")
    return row


def add_event(
    session: Session,
    job_id: str,
    message: str,
    *,
    level: Level = "info",
    data: dict[str, Any] | None = None,
) -> None:
    """Append one line to the history of a job whose row the caller holds."""
    add_events(session, job_id, [Event(message=message, level=level, data=data)])


def add_events(session: Session, job_id: str, events: Iterable[Event]) -> None:
    """Append lines to the history of a job whose row the caller holds, in order."""
    at = now(session)
    for event in events:
        session.add(
            EventRow(
                job_id=job_id,
                created_at=at,
                level=event.level,
                type=event.type,
                message=event.message,
                data=event.data,
            )
        )
        session.flush()


def last_said(session: Session, job: JobRow) -> str | None:
    """The newest line of a job's history."""
    of = select(EventRow.message).where(EventRow.job_id == job.id)
    return session.scalars(of.order_by(EventRow.id.desc()).limit(1)).first()


def add_checkpoints(session: Session, job_id: str, checkpoints: Sequence[NewCheckpoint]) -> None:
    """Store the metrics of steps that have none yet: an interrupted try may have stored some."""
    known = set(
        session.scalars(select(CheckpointRow.step_number).where(CheckpointRow.job_id == job_id))
    )
    at = now(session)
    session.add_all(
        CheckpointRow(
            id=new_id("ftckpt_"),
            job_id=job_id,
            step_number=checkpoint.step_number,
            metrics=checkpoint.metrics,
            created_at=at,
        )
        for checkpoint in checkpoints
        if checkpoint.step_number not in known
    )


def advance_job(
    session: Session,
    job: JobRow,
    to: JobStatus,
    *,
    message: str | None = None,
    error: HeadstartError | None = None,
    quiet: bool = False,
) -> None:
    """Move a locked job and, unless `quiet`, say so in its history. Raises invalid_transition."""
    job.status = job_state.advance(cast(JobStatus, job.status), to)
    at = now(session)
    if to == "running":
        job.started_at = job.started_at or at
    if to in TERMINAL:
        job.finished_at = at
    if error is not None:
        job.error = error.stored()
    if not quiet:
        level: Level = "error" if to == "failed" else "info"
        add_event(session, job.id, message or _said(to, error), level=level)
    if to in TERMINAL:
        endings.job_ended(session, job)


def _said(to: JobStatus, error: HeadstartError | None) -> str:
    if error is not None:
        return f"Job {to}: {error.message}"
    return {
        "validating_files": "Validating the training file",
        "queued": "Job queued",
        "running": "Job started",
    }.get(to, f"Job {to}")


def cancel_job(session: Session, job_id: str) -> JobRow:
    """Cancel for good, at once: whoever works on the job loses its claim in the same transaction,
    as does whoever embeds for it alone.

    Raises not_found, or invalid_transition where the job has already ended.
    """
    if (waiting := session.get(JobRow, job_id)) is not None and waiting.status not in TERMINAL:
        chunks.withdraw(session, waiting)
    work.withdraw(session, job_id=job_id)
    job = lock_job(session, job_id)
    advance_job(session, job, "cancelled")
    return job


def pause_job(session: Session, job_id: str) -> JobRow:
    """Hold a job until it is resumed: whoever works on it loses its claim in the same transaction.

    What it has embedded is kept. Raises not_found, or invalid_transition where it has ended or
    is paused.
    """
    work.suspend(session, job_id)
    job = lock_job(session, job_id)
    advance_job(session, job, "paused")
    return job


def resume_job(session: Session, job_id: str) -> JobRow:
    """Let a paused job wait for its turn again. Raises not_found, invalid_transition."""
    work.resume(session, job_id)
    job = lock_job(session, job_id)
    if job.status != "paused":
        why = f"a job that is {job.status} cannot be resumed"
        raise HeadstartError("invalid_transition", why, param="status")
    advance_job(session, job, "validating_files", message="Job resumed")
    return job
