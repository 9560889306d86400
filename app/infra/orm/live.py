"""What models are asked and told while they are in use: the prediction log, feedback, drift."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.orm.base import Base, sealed


class LoggedPredictionRow(Base):
    """One input that an alias was asked about while its log was on, and what was said of it."""

    __tablename__ = "logged_predictions"
    __table_args__ = (
        Index("ix_logged_predictions_alias", "organisation_id", "alias", "model_id", "id"),
        Index("ix_logged_predictions_model", "organisation_id", "model_id", "lot"),
        Index("ix_logged_predictions_prediction", "organisation_id", "prediction_id", "place"),
        Index("ix_logged_predictions_bytes", "organisation_id", "content_length"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    alias: Mapped[str] = mapped_column(String(128))
    model_id: Mapped[str] = mapped_column(String(200))
    prediction_id: Mapped[str] = mapped_column(String(40))
    place: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    answer: Mapped[dict[str, Any]]
    """`label`, `probability`, `unknown`, and of several labels `labels`, as the caller was told;
    `scores`: the probability of each class."""
    embedding: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Little-endian half floats; None where the predictor could not give one."""
    content_key: Mapped[str | None] = mapped_column(String(300), index=True)
    """A file of several inputs' bytes; None where the log keeps no content."""
    content_start: Mapped[int]
    content_length: Mapped[int]
    """Bytes that are kept: 0 where the log keeps no content."""
    lot: Mapped[float]
    """Drawn uniformly when it was written: the order in which audits draw."""
    created_at: Mapped[float]
    expires_at: Mapped[float] = mapped_column(index=True)


class FeedbackRow(Base):
    """What a caller says of a prediction. `subject` is unique: the last word on an input holds."""

    __tablename__ = "feedback"
    __table_args__ = (
        Index("ix_feedback_subject", "organisation_id", "subject", unique=True),
        Index("ix_feedback_alias", "organisation_id", "alias", "id"),
        Index("ix_feedback_model", "organisation_id", "model_id", "id"),
        Index("ix_feedback_bytes", "organisation_id", "content_length"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    subject: Mapped[str] = mapped_column(String(400))
    alias: Mapped[str] = mapped_column(String(128))
    """Empty where a model was named by its id."""
    model_id: Mapped[str] = mapped_column(String(200))
    """Which model gave the answer."""
    prediction_id: Mapped[str | None] = mapped_column(String(40))
    place: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    answer: Mapped[dict[str, Any]]
    label: Mapped[str | None] = mapped_column(String(256))
    labels: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    correct: Mapped[bool | None]
    unknown: Mapped[bool]
    audited: Mapped[bool]
    source: Mapped[str] = mapped_column(String(20))
    actor: Mapped[str] = mapped_column(String(100))
    content_key: Mapped[str | None] = mapped_column(String(300), index=True)
    content_length: Mapped[int]
    applied: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """`{dataset, version}` that has it last; None: none has what it says now."""
    created_at: Mapped[float]
    updated_at: Mapped[float]


class DriftReferenceRow(Base):
    """The first inputs that a model was asked about under an alias; no content, no hash."""

    __tablename__ = "drift_references"

    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    alias: Mapped[str] = mapped_column(String(128), primary_key=True)
    model_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    size: Mapped[int]
    embeddings: Mapped[bytes] = mapped_column(LargeBinary)
    """`size` rows of little-endian half floats."""
    answers: Mapped[list[Any]]
    labels: Mapped[list[Any]]
    """What feedback said of them by then; None where it said nothing."""
    first_at: Mapped[float]
    last_at: Mapped[float]
    last_id: Mapped[str] = mapped_column(String(40))
    """Of the log: windows begin after it."""
    created_at: Mapped[float]


class DriftWindowRow(Base):
    """So many inputs after those before, tested once against the reference."""

    __tablename__ = "drift_windows"
    __table_args__ = (
        Index("ix_drift_windows_alias", "organisation_id", "alias", "model_id", "id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    alias: Mapped[str] = mapped_column(String(128))
    model_id: Mapped[str] = mapped_column(String(200))
    number: Mapped[int]
    last_id: Mapped[str] = mapped_column(String(40))
    size: Mapped[int]
    drifted: Mapped[bool]
    result: Mapped[dict[str, Any]]
    first_at: Mapped[float]
    last_at: Mapped[float]
    created_at: Mapped[float]


class LabellingProjectRow(Base):
    """A project of a labelling tool that asks an alias for predictions."""

    __tablename__ = "labelling_projects"

    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    alias: Mapped[str] = mapped_column(String(128), primary_key=True)
    project: Mapped[str] = mapped_column(String(100), primary_key=True)
    hostname: Mapped[str] = mapped_column(String(2000))
    token: Mapped[str | None] = mapped_column(sealed(500))
    label_config: Mapped[str]
    pending: Mapped[bool]
    """There may be annotations that no pull has seen."""
    not_before: Mapped[float | None]
    """Until when its pull has time, or a failed one waits; one that never ended is taken again."""
    told: Mapped[dict[str, Any]]
    """What the last pull found."""
    created_at: Mapped[float]
    updated_at: Mapped[float]
