"""Who changed or took out what."""

from __future__ import annotations

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.orm.base import Base


class AuditEntryRow(Base):
    """One thing that a key has done; written once, never changed, and dropped when it is old."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_organisation_id_id", "organisation_id", "id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(String(64))
    key_id: Mapped[str] = mapped_column(String(40))
    """Empty where it was the command line on the service's own machine."""
    action: Mapped[str] = mapped_column(String(100))
    object_id: Mapped[str | None] = mapped_column(String(200))
    request_id: Mapped[str] = mapped_column(String(40))
    address: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[int]
    created_at: Mapped[float] = mapped_column(index=True)
