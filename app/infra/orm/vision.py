"""Projects, as Custom Vision's clients have them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.orm.base import Base


class VisionProjectRow(Base):
    """A dataset, which it has from its first image on, under another name; iterations are jobs."""

    __tablename__ = "vision_projects"
    __table_args__ = (Index("ix_vision_projects_organisation_id_id", "organisation_id", "id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(String(1000))
    domain_id: Mapped[str] = mapped_column(String(40))
    classification_type: Mapped[str] = mapped_column(String(20))
    """`Multiclass`, or `Multilabel`: an image may have several tags."""
    dataset_id: Mapped[str | None] = mapped_column(String(40))
    """No foreign key: a dataset may be deleted by its own name."""
    tags: Mapped[list[Any]]
    """`[{name, description}]` of those that were made here; labels of the dataset are tags, too."""
    created_at: Mapped[float]
    updated_at: Mapped[float]
