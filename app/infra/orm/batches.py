"""Batches of predictions and the files of their results."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.orm.base import Base


class BatchRow(Base):
    """Predictions of one immutable model for many inputs; its chunks are `work` of kind `batch`.

    The inputs are a dataset's version, or an upload of the batch's own (`dataset_id` is null).
    """

    __tablename__ = "batches"
    __table_args__ = (Index("ix_batches_organisation_id_id", "organisation_id", "id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    status: Mapped[str] = mapped_column(String(20), index=True)
    model_id: Mapped[str] = mapped_column(String(200), index=True)
    """No foreign keys: a batch that has ended outlives its model and its dataset."""
    backbone: Mapped[str] = mapped_column(String(100))
    modality: Mapped[str] = mapped_column(String(10))
    artifact: Mapped[str] = mapped_column(String(300))
    sha256: Mapped[str] = mapped_column(String(64))
    dataset_id: Mapped[str | None] = mapped_column(String(40))
    version_id: Mapped[str | None] = mapped_column(String(40), index=True)
    version: Mapped[int | None]
    filename: Mapped[str | None] = mapped_column(String(255))
    manifest_sha256: Mapped[str] = mapped_column(String(64))
    packs: Mapped[list[Any]]
    options: Mapped[dict[str, Any]]
    """`{top_k, unknown}`, as a prediction's."""
    total: Mapped[int]
    done: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    """Of those done, how many have an error instead of a prediction."""
    passes: Mapped[int] = mapped_column(default=0)
    """Backbone passes that the batch took; the cache spared it the rest."""
    tally: Mapped[dict[str, Any]]
    """Predictions counted by split and label, of a labelled dataset."""
    evaluation: Mapped[list[Any] | None] = mapped_column(JSON)
    problems: Mapped[list[Any]]
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    smoothing: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """How its inputs were answered, where `use_unlabelled` was asked; null before any was."""
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]


class BatchPartRow(Base):
    """One durable file of a batch's results: those of the inputs from `start` on."""

    __tablename__ = "batch_parts"

    batch_id: Mapped[str] = mapped_column(
        ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True
    )
    start: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(String(300))
    bytes: Mapped[int]
    sha256: Mapped[str | None] = mapped_column(String(64))
    """Of the file; null for those of before it was kept."""
