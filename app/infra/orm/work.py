"""What workers claim."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.orm.base import Base


class WorkRow(Base):
    """Something for a worker to do.

    queued ─▶ running ─▶ done | failed | cancelled;  running ─▶ queued when the worker is lost,
    drained or fails with something worth another try. `fence` grows with every claim and with every
    taking away, so a worker that lost its claim can no longer write.
    """

    __tablename__ = "work"
    __table_args__ = (
        Index("ix_work_claim", "state", "organisation_id", "priority", "created_at"),
        Index("ix_work_version", "version_id", "backbone", "kind", "state"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    state: Mapped[str] = mapped_column(String(12))
    priority: Mapped[int] = mapped_column(default=0)
    """0: somebody waits; 1: an export, or the files of a batch that is answered; 5: a batch, bulk
    that lets them pass; 10: idle-time work."""
    job_id: Mapped[str | None] = mapped_column(String(40), index=True)
    batch_id: Mapped[str | None] = mapped_column(
        ForeignKey("batches.id", ondelete="CASCADE"), index=True
    )
    version_id: Mapped[str | None] = mapped_column(
        ForeignKey("dataset_versions.id", ondelete="CASCADE")
    )
    backbone: Mapped[str | None] = mapped_column(String(100))
    payload: Mapped[dict[str, Any]]
    fence: Mapped[int] = mapped_column(default=0)
    claimed_by: Mapped[str | None] = mapped_column(String(100))
    lease_until: Mapped[float | None]
    not_before: Mapped[float] = mapped_column(default=0.0)
    errors: Mapped[int] = mapped_column(default=0)
    crashes: Mapped[int] = mapped_column(default=0)
    losses: Mapped[int] = mapped_column(default=0)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    origin: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """The request and the trace that it came of (`app.infra.telemetry.tracing`)."""
    created_at: Mapped[float]
    finished_at: Mapped[float | None]
