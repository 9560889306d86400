"""What organisations have used."""

from __future__ import annotations

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.orm.base import Base


class UsageRow(Base):
    """So much of a kind, by one subject, on one day by UTC; see `repositories.usage`."""

    __tablename__ = "usage"
    __table_args__ = (Index("ix_usage_day", "day"),)

    organisation_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    day: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Since 1970-01-01."""
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    subject: Mapped[str] = mapped_column(String(200), primary_key=True)
    amount: Mapped[float]
