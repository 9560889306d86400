"""OpenAI's batches: files of requests, and the pieces of what was answered."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.orm.base import Base


class RequestBatchRow(Base):
    """A file of requests on its way to a file of answers; its pieces are `work` of kind `requests`.

    validating ─▶ in_progress ─▶ finalizing ─▶ completed | expired;  validating ─▶ failed;
    each of the first three ─▶ cancelling ─▶ cancelled.
    """

    __tablename__ = "request_batches"
    __table_args__ = (Index("ix_request_batches_organisation_id_id", "organisation_id", "id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    endpoint: Mapped[str] = mapped_column(String(100))
    input_file_id: Mapped[str] = mapped_column(String(40), index=True)
    """No foreign key: a batch that has ended outlives its file."""
    status: Mapped[str] = mapped_column(String(12))
    batch_metadata: Mapped[dict[str, Any] | None] = mapped_column("metadata", JSON)
    output_seconds: Mapped[int | None]
    """What its files live, as their maker wished."""
    total: Mapped[int] = mapped_column(default=0)
    completed: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    lapsed: Mapped[int] = mapped_column(default=0)
    """Of those failed, how many came too late to be asked."""
    pieces: Mapped[int] = mapped_column(default=0)
    """Pieces of work that are left."""
    errors: Mapped[list[Any] | None] = mapped_column(JSON)
    output_file_id: Mapped[str | None] = mapped_column(String(40))
    error_file_id: Mapped[str | None] = mapped_column(String(40))
    moments: Mapped[dict[str, Any]]
    """When it came into each state."""
    created_at: Mapped[float]
    expires_at: Mapped[float]


class RequestPieceRow(Base):
    """The durable answers and errors of the requests from line `start` on, each a file or none."""

    __tablename__ = "request_pieces"

    batch_id: Mapped[str] = mapped_column(
        ForeignKey("request_batches.id", ondelete="CASCADE"), primary_key=True
    )
    start: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    answers: Mapped[str | None] = mapped_column(String(300))
    errors: Mapped[str | None] = mapped_column(String(300))
