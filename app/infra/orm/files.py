"""Files that are no datasets, and uploads in parts, from which either is made."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.orm.base import Base


class FileRow(Base):
    """A file kept as it came (`batch`), or as a batch made it (`batch_output`); never changed."""

    __tablename__ = "files"
    __table_args__ = (Index("ix_files_organisation_id_id", "organisation_id", "id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    purpose: Mapped[str] = mapped_column(String(40))
    filename: Mapped[str] = mapped_column(String(255))
    bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(300), unique=True)
    created_at: Mapped[float]
    expires_at: Mapped[float | None] = mapped_column(index=True)


class UploadRow(Base):
    """A file that comes in parts: pending ─▶ completed | cancelled | expired."""

    __tablename__ = "uploads"
    __table_args__ = (Index("ix_uploads_pending", "status", "expires_at"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    status: Mapped[str] = mapped_column(String(12))
    filename: Mapped[str] = mapped_column(String(255))
    bytes: Mapped[int]
    """As announced; the parts that complete it have so many together."""
    purpose: Mapped[str] = mapped_column(String(40))
    form: Mapped[dict[str, Any]]
    """The fields that would come with the file."""
    part_ids: Mapped[list[Any] | None] = mapped_column(JSON)
    """Those that completed it, in their order."""
    file_id: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[float]
    expires_at: Mapped[float]


class UploadPartRow(Base):
    """One durable part of a pending upload; gone as soon as that ends."""

    __tablename__ = "upload_parts"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(String(64), index=True)
    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), index=True)
    bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(300), unique=True)
    created_at: Mapped[float]
