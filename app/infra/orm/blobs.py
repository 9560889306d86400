"""Stored files between two states: not yet named, or not yet forgotten."""

from __future__ import annotations

from sqlalchemy import String
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
    created_at: Mapped[float]
