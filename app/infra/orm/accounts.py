"""Tenants, their keys, and what their requests with an Idempotency-Key answered."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.orm.base import Base, sealed


class OrganisationRow(Base):
    """A tenant; `last_claimed_at` is what makes claiming fair."""

    __tablename__ = "organisations"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[float]
    last_claimed_at: Mapped[float] = mapped_column(default=0.0, index=True)
    pseudonym_key: Mapped[str | None] = mapped_column(sealed(64))
    """What patients' ids are hashed with; null until a first one is."""
    quotas: Mapped[dict[str, int] | None] = mapped_column(JSON)
    """Bounds of its own, named as in `repositories.quotas`; others are the settings'."""


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
    expires_at: Mapped[float | None]
    last_used_at: Mapped[float | None]
    """To the minute; null until it is used."""
    replaced_by: Mapped[str | None] = mapped_column(String(40))


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
