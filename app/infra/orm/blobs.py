"""Stored files between two states: not yet named, or not yet forgotten."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.orm.base import Base


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
    deletion_id: Mapped[str | None] = mapped_column(String(40), index=True)
    created_at: Mapped[float]


class DeletionRow(Base):
    """What somebody has deleted, and how far its removal from storage is.

    pending ─▶ done (`finished_at`), once, when no erasure, file or worn segment of it is left.
    """

    __tablename__ = "deletions"
    __table_args__ = (Index("ix_deletions_organisation_id_id", "organisation_id", "id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    object: Mapped[str] = mapped_column(String(20))
    object_id: Mapped[str] = mapped_column(String(200))
    removed: Mapped[dict[str, Any]]
    """How much of what is gone so far."""
    kept: Mapped[dict[str, Any]]
    """How much stays because something else has it too."""
    forgotten_at: Mapped[float | None]
    """When its embeddings lost their index; segments worn before that may hold their numbers."""
    created_at: Mapped[float]
    finished_at: Mapped[float | None] = mapped_column(index=True)


class DeletedFileRow(Base):
    """A file, or a folder (`…/`), that rows have ceased to name, until it is gone from storage."""

    __tablename__ = "deleted_files"

    deletion_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    """Empty: nobody asked for it by name, such as for a segment that was rewritten."""
    key: Mapped[str] = mapped_column(String(300), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(String(64), index=True)
    created_at: Mapped[float]
