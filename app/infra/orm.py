"""The tables. Times are seconds since 1970 by the database's clock; JSON columns hold plain data.

Work rows carry the truth of who may write: a worker's every write is `WHERE id = ? AND fence = ?`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

BigId = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """The metadata that migrations build."""

    type_annotation_map: ClassVar = {
        dict[str, Any]: JSON,
        list[Any]: JSON,
        float: Float(53),
        int: BigInteger,
    }


class OrganisationRow(Base):
    """A tenant; `last_claimed_at` is what makes claiming fair."""

    __tablename__ = "organisations"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[float]
    last_claimed_at: Mapped[float] = mapped_column(default=0.0, index=True)


class ApiKeyRow(Base):
    """A bearer key: its public prefix and the SHA-256 of the whole; never the key itself."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    prefix: Mapped[str] = mapped_column(String(24), unique=True)
    secret_sha256: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[Any]]
    created_at: Mapped[float]
    revoked_at: Mapped[float | None]


class DatasetRow(Base):
    """A dataset; what it holds is in its versions."""

    __tablename__ = "datasets"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    filename: Mapped[str] = mapped_column(String(255))
    purpose: Mapped[str] = mapped_column(String(40), default="fine-tune")
    modality: Mapped[str] = mapped_column(String(10))
    bytes: Mapped[int]
    upload_sha256: Mapped[str] = mapped_column(String(64))
    latest_version: Mapped[int]
    created_at: Mapped[float]
    expires_at: Mapped[float | None] = mapped_column(index=True)
    """When it is deleted, as its uploader wished; None: not by itself."""


class DatasetVersionRow(Base):
    """An immutable version: a manifest, and what decoding it found.

    processing ─▶ ready | failed, once, when its last `embed` work is done.
    """

    __tablename__ = "dataset_versions"
    __table_args__ = (UniqueConstraint("dataset_id", "number"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    dataset_id: Mapped[str] = mapped_column(
        ForeignKey("datasets.id", ondelete="CASCADE"), index=True
    )
    number: Mapped[int]
    manifest_sha256: Mapped[str] = mapped_column(String(64))
    packs: Mapped[list[Any]]
    """sha256 of every pack that the manifest points into."""
    backbone: Mapped[str] = mapped_column(String(100))
    """The backbone whose primary view decodes this version and makes it ready."""
    num_examples: Mapped[int]
    classes: Mapped[list[Any]]
    problems: Mapped[list[Any]]
    pixel_scale: Mapped[dict[str, float] | None] = mapped_column(JSON)
    """`{low, high}`, the values that are black and white in pictures of more than eight bits a
    sample; empty where there are none, null until its pictures have been looked at.
    """
    status: Mapped[str] = mapped_column(String(12), index=True)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    created_at: Mapped[float]
    ready_at: Mapped[float | None]


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
    """0: somebody waits; 1: an export; 5: a batch, bulk that lets them pass; 10: idle-time work."""
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
    created_at: Mapped[float]
    finished_at: Mapped[float | None]


class EmbeddingRow(Base):
    """Where one example's embedding lies: row `row` of segment `segment`."""

    __tablename__ = "embeddings"

    organisation_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    segment_id: Mapped[str] = mapped_column(
        ForeignKey("segments.id", ondelete="CASCADE"), index=True
    )
    row: Mapped[int]


class SegmentRow(Base):
    """One append-only fp16 file of embeddings, [n, dim]."""

    __tablename__ = "segments"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(String(64), index=True)
    key: Mapped[str] = mapped_column(String(64))
    bytes: Mapped[int]
    created_at: Mapped[float]
    last_used_at: Mapped[float] = mapped_column(index=True)
    worn_at: Mapped[float | None] = mapped_column(index=True)
    """Since when the file has had rows that nothing indexes; it is to be rewritten without them."""


class ModelRow(Base):
    """A registered result: immutable head weights and `model.json` at `artifact`."""

    __tablename__ = "models"

    id: Mapped[str] = mapped_column(String(200), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    job_id: Mapped[str | None] = mapped_column(String(40), unique=True)
    backbone: Mapped[str] = mapped_column(String(100))
    modality: Mapped[str] = mapped_column(String(10))
    method: Mapped[str] = mapped_column(String(40))
    version_id: Mapped[str | None] = mapped_column(String(40), index=True)
    artifact: Mapped[str] = mapped_column(String(300))
    sha256: Mapped[str] = mapped_column(String(64))
    """Of head.safetensors."""
    bytes: Mapped[int]
    card: Mapped[dict[str, Any]]
    """The content of model.json."""
    evaluation: Mapped[dict[str, Any]]
    created_at: Mapped[float]


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


class HeldBlobRow(Base):
    """A pack or manifest that is being stored and that no row names yet (`repositories.holds`)."""

    __tablename__ = "held_blobs"

    key: Mapped[str] = mapped_column(String(300), primary_key=True)
    until: Mapped[float] = mapped_column(index=True)


class ErasureRow(Base):
    """A manifest whose dataset or batch is deleted, until its contents are forgotten."""

    __tablename__ = "erasures"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(String(64), index=True)
    manifest_sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[float]


class AliasRow(Base):
    """A stable name pointing to a model of the same organisation."""

    __tablename__ = "aliases"

    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id"), index=True)
    pinned: Mapped[bool] = mapped_column(default=False)
    """Predictors keep the head in memory whatever else they hold."""
    updated_at: Mapped[float]


class IdempotencyRow(Base):
    """What a POST with this Idempotency-Key answered; `response` is null while it is in flight."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_age", "organisation_id", "created_at"),)

    organisation_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_sha256: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None]
    response: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    created_at: Mapped[float]
    lease_until: Mapped[float | None]
