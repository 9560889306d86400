"""Where every embedding lies."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.orm.base import Base


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
    sha256: Mapped[str | None] = mapped_column(String(64))
    """Of the file; null for those of before it was kept."""
    created_at: Mapped[float]
    last_used_at: Mapped[float] = mapped_column(index=True)
    worn_at: Mapped[float | None] = mapped_column(index=True)
    """Since when the file has had rows that nothing indexes; it is to be rewritten without them."""
