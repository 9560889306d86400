"""Registered models, and the names that point to them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.orm.base import Base


class ModelRow(Base):
    """A registered result: immutable head weights and `model.json` at `artifact`."""

    __tablename__ = "models"

    id: Mapped[str] = mapped_column(String(200), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    job_id: Mapped[str | None] = mapped_column(String(40), unique=True)
    backbone: Mapped[str] = mapped_column(String(100))
    modality: Mapped[str] = mapped_column(String(10))
    method: Mapped[str] = mapped_column(String(40))
    label_mode: Mapped[str] = mapped_column(String(12), default="single_label")
    version_id: Mapped[str | None] = mapped_column(String(40), index=True)
    artifact: Mapped[str] = mapped_column(String(300))
    sha256: Mapped[str] = mapped_column(String(64))
    """Of head.safetensors."""
    bytes: Mapped[int]
    card: Mapped[dict[str, Any]]
    """The content of model.json."""
    evaluation: Mapped[dict[str, Any]]
    accuracy: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """The evaluation's, `{value, low, high}`, for lists, which do not read the whole."""
    trained_on_erased: Mapped[int] = mapped_column(default=0)
    """Examples that it has learned from and that were erased since."""
    created_at: Mapped[float]


class AliasRow(Base):
    """A stable name pointing to a model of the same organisation."""

    __tablename__ = "aliases"

    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id"), index=True)
    pinned: Mapped[bool] = mapped_column(default=False)
    """Predictors keep the head in memory whatever else they hold."""
    split: Mapped[list[Any] | None] = mapped_column(JSON)
    """`[{model, weight}]`: what part of the requests other models answer."""
    shadow: Mapped[str | None] = mapped_column(String(200))
    """A model that answers unseen."""
    prediction_log: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """What of the predictions is written down (`core.live.rule`); None: nothing."""
    log_id: Mapped[str | None] = mapped_column(String(40))
    """Which log that is, as each that begins is another; None of one from before they had any."""
    updated_at: Mapped[float]
