"""Fine-tuning jobs, their events and their checkpoints."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.orm.base import Base, BigId


class JobRow(Base):
    """A fine-tuning job, as its caller sees it; who works on it is in its `work` row."""

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_organisation_id_id", "organisation_id", "id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    status: Mapped[str] = mapped_column(String(20), index=True)
    backbone: Mapped[str] = mapped_column(String(100))
    dataset_id: Mapped[str] = mapped_column(String(40), index=True)
    version_id: Mapped[str] = mapped_column(String(40), index=True)
    """No foreign key, here and below: a job that has ended outlives its dataset."""
    validation_dataset_id: Mapped[str | None] = mapped_column(String(40), index=True)
    validation_version_id: Mapped[str | None] = mapped_column(String(40), index=True)
    method: Mapped[str] = mapped_column(String(40))
    hyperparameters: Mapped[dict[str, Any]]
    """As asked, `"auto"` included."""
    resolved: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """As used."""
    from_model: Mapped[str | None] = mapped_column(String(200))
    """The model whose method and hyperparameters were taken over where none were given."""
    seed: Mapped[int]
    suffix: Mapped[str | None] = mapped_column(String(64))
    job_metadata: Mapped[dict[str, Any] | None] = mapped_column("metadata", JSON)
    progress: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    model_id: Mapped[str | None] = mapped_column(String(200))
    estimated_seconds: Mapped[float | None]
    """From its start to its end, as it was made; None where nobody knew."""
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]


class EventRow(Base):
    """One line of a job's history; the ever-growing id is the SSE id."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_job_id_id", "job_id", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    created_at: Mapped[float]
    level: Mapped[str] = mapped_column(String(8))
    type: Mapped[str] = mapped_column(String(12))
    message: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any] | None] = mapped_column(JSON)


class CheckpointRow(Base):
    """The metrics after one epoch (`linear`), or of the final fit."""

    __tablename__ = "checkpoints"
    __table_args__ = (UniqueConstraint("job_id", "step_number"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    step_number: Mapped[int]
    metrics: Mapped[dict[str, Any]]
    created_at: Mapped[float]
