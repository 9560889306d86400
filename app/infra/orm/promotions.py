"""How aliases came to mean what they mean: promotions, moves, and what held-out sets were asked."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.orm.base import Base


class PromotionRow(Base):
    """A candidate's way through the gate of an alias.

    waiting ─▶ decided | failed, once, by the `promote` work that asks both models.
    """

    __tablename__ = "promotions"
    __table_args__ = (Index("ix_promotions_alias", "organisation_id", "alias", "id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    alias: Mapped[str] = mapped_column(String(128))
    candidate: Mapped[str] = mapped_column(String(200))
    """No foreign key, here and below: what was decided outlives the models."""
    incumbent: Mapped[str | None] = mapped_column(String(200))
    gate: Mapped[dict[str, Any]]
    forced: Mapped[bool] = mapped_column(default=False)
    status: Mapped[str] = mapped_column(String(12), index=True)
    verdict: Mapped[str | None] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(Text)
    evidence: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    note: Mapped[str | None] = mapped_column(Text)
    """Why it was asked for, in the caller's words."""
    actor: Mapped[str] = mapped_column(String(100))
    """The key or the hook that asked."""
    run_id: Mapped[str | None] = mapped_column(String(40), index=True)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    created_at: Mapped[float]
    decided_at: Mapped[float | None]


class AliasMoveRow(Base):
    """One line of an alias's history: what it came to mean, by whom, and why."""

    __tablename__ = "alias_moves"
    __table_args__ = (Index("ix_alias_moves_alias", "organisation_id", "alias", "id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    alias: Mapped[str] = mapped_column(String(128))
    cause: Mapped[str] = mapped_column(String(16))
    """put, promotion, rollback, traffic or deleted."""
    model_id: Mapped[str | None] = mapped_column(String(200))
    """None: the alias is no more."""
    from_model_id: Mapped[str | None] = mapped_column(String(200))
    actor: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str | None] = mapped_column(Text)
    promotion_id: Mapped[str | None] = mapped_column(String(40))
    evidence: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """What was known at that time."""
    created_at: Mapped[float]


class AliasWearRow(Base):
    """How often an alias's gate has asked each held-out example, by `spending.mark`."""

    __tablename__ = "alias_wear"

    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    alias: Mapped[str] = mapped_column(String(128), primary_key=True)
    asked: Mapped[dict[str, Any]]


class ShadowAgreementRow(Base):
    """How often a shadow has said the same as the model that an alias meant."""

    __tablename__ = "shadow_agreements"

    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    alias: Mapped[str] = mapped_column(String(128), primary_key=True)
    model_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    shadow_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    compared: Mapped[int]
    agreed: Mapped[int]
    differences: Mapped[list[Any]]
    """`[[label, the shadow's label, how often], …]`, of the pairs that were seen first."""
    created_at: Mapped[float]
    updated_at: Mapped[float]
