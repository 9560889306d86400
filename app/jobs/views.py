"""From rows to what callers see."""

from __future__ import annotations

from typing import Any, Literal, cast

from app.core.job_state import TERMINAL, JobStatus
from app.core.times import whole
from app.http.schemas import DatasetVersion, PredictionCost
from app.infra.orm import CheckpointRow, EventRow, JobRow
from app.infra.repositories.job_queries import JobSnapshot
from app.jobs.schemas import (
    EmbeddingPasses,
    Job,
    JobCheckpoint,
    JobEvent,
    JobFault,
    JobProgress,
    JobTiming,
)

_EVENT_PREFIX = "ftevent-"


def job_of(snapshot: JobSnapshot) -> Job:
    """The job as its caller sees it."""
    row = snapshot.job
    validation = row.validation_dataset_id
    return Job(
        id=row.id,
        created_at=int(row.created_at),
        started_at=whole(row.started_at),
        finished_at=whole(row.finished_at),
        model=row.backbone,
        status=cast(JobStatus, row.status),
        training_file=row.dataset_id,
        validation_file=validation,
        method={"type": row.method, row.method: {"hyperparameters": row.hyperparameters}},
        hyperparameters=row.resolved or row.hyperparameters,
        organization_id=row.organisation_id,
        seed=row.seed,
        suffix=row.suffix,
        metadata=row.job_metadata or {},
        error=JobFault.model_validate(row.error) if row.error else None,
        fine_tuned_model=row.model_id,
        from_model=row.from_model,
        dataset=DatasetVersion(id=row.dataset_id, version=snapshot.version),
        validation_dataset=None
        if validation is None
        else DatasetVersion(id=validation, version=snapshot.validation_version),
        estimated_finish=_expected(row),
        timing=_timing(row),
        **_told(row),
    )


def _told(row: JobRow) -> dict[str, Any]:
    """What the trainer notes of a job, as four members."""
    progress: dict[str, Any] = row.progress or {}
    apart = ("embedding", "views", "prediction_views")
    rest = {key: value for key, value in progress.items() if key not in apart}
    embedding, read = progress.get("embedding"), progress.get("prediction_views")
    return {
        "progress": JobProgress.model_validate(rest) if "stage" in rest else None,
        "embedding": EmbeddingPasses.model_validate(embedding) if embedding else None,
        "views": progress.get("views"),
        "prediction": PredictionCost.of(row.backbone, read) if read else None,
    }


def _timing(row: JobRow) -> JobTiming:
    if row.started_at is None:
        return JobTiming(waited=None, ran=None, estimated=row.estimated_seconds)
    ran = None if row.finished_at is None else max(0.0, round(row.finished_at - row.started_at, 3))
    waited = max(0.0, round(row.started_at - row.created_at, 3))  # a clock may be set back
    return JobTiming(waited=waited, ran=ran, estimated=row.estimated_seconds)


def _expected(row: JobRow) -> int | None:
    """When it will end, as far as that is known; of a job that waits, had it begun."""
    if row.estimated_seconds is None or row.status in TERMINAL or row.status == "paused":
        return None
    return int((row.started_at or row.created_at) + row.estimated_seconds)


def event_of(row: EventRow) -> JobEvent:
    """The event as its caller sees it."""
    return JobEvent(
        id=f"{_EVENT_PREFIX}{row.id}",
        created_at=int(row.created_at),
        level=cast(Literal["info", "warn", "error"], row.level),
        type=cast(Literal["message", "metrics"], row.type),
        message=row.message,
        data=row.data,
    )


def event_number(event_id: str) -> int | None:
    """The number in an event's id, or None where it is not one."""
    digits = event_id.removeprefix(_EVENT_PREFIX)
    known = event_id.startswith(_EVENT_PREFIX) and digits.isascii() and digits.isdecimal()
    return int(digits) if known and len(digits) <= 18 else None


def checkpoint_of(row: CheckpointRow, model_id: str | None) -> JobCheckpoint:
    """The checkpoint as its caller sees it."""
    return JobCheckpoint(
        id=row.id,
        created_at=int(row.created_at),
        fine_tuned_model_checkpoint=model_id,
        fine_tuning_job_id=row.job_id,
        step_number=row.step_number,
        metrics=row.metrics,
    )
