"""Hooks, which retrain by themselves, and what came of each trigger."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.orm.base import Base, sealed


class HookRow(Base):
    """What to retrain, when, and through which gate the result must go."""

    __tablename__ = "hooks"
    __table_args__ = (Index("ix_hooks_organisation_id_id", "organisation_id", "id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    name: Mapped[str] = mapped_column(String(200))
    dataset_id: Mapped[str] = mapped_column(String(40), index=True)
    alias: Mapped[str] = mapped_column(String(128))
    job: Mapped[dict[str, Any]]
    """A job's body without its training file."""
    gate: Mapped[dict[str, Any]]
    triggers: Mapped[list[Any]]
    debounce_seconds: Mapped[float]
    max_runs_per_day: Mapped[int]
    apply_feedback: Mapped[bool] = mapped_column(default=True)
    audited_only: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Of feedback, what is not audited is not applied."""
    enabled: Mapped[bool] = mapped_column(default=True)
    secret: Mapped[str] = mapped_column(sealed(100))
    """What signs inbound calls; it must be read to check them."""
    revision: Mapped[int] = mapped_column(default=0)
    """Grows with every change, so that schedules of before are known to be old."""
    trained_version: Mapped[int | None]
    """The number of the version that the last run trained on, or of the hook's creation."""
    looked_version: Mapped[int] = mapped_column(default=0)
    """The number of the version that was last looked at for new labels."""
    trained: Mapped[str | None] = mapped_column(String(64))
    """The SHA-256 of what the last run trained on and how: the same again makes the same model."""
    pending_feedback: Mapped[int] = mapped_column(default=0)
    """Labelled feedback that the last look has seen and that no version has yet."""
    created_at: Mapped[float]
    updated_at: Mapped[float]


class HookRunRow(Base):
    """What came of a trigger.

    waiting ─▶ running ─▶ succeeded | failed;  waiting ─▶ skipped | failed. A trigger that comes
    while a run waits is a row that is skipped, and names the run that it has joined.
    """

    __tablename__ = "hook_runs"
    __table_args__ = (
        Index("ix_hook_runs_hook_id_id", "hook_id", "id"),
        Index("ix_hook_runs_hook_id_status", "hook_id", "status"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    hook_id: Mapped[str] = mapped_column(ForeignKey("hooks.id", ondelete="CASCADE"))
    status: Mapped[str] = mapped_column(String(12))
    cause: Mapped[dict[str, Any]]
    reason: Mapped[str | None] = mapped_column(Text)
    joined: Mapped[str | None] = mapped_column(String(40))
    triggers: Mapped[int] = mapped_column(default=1)
    """How many triggers this run answers."""
    dataset_version: Mapped[int | None]
    job_id: Mapped[str | None] = mapped_column(String(40), index=True)
    promotion_id: Mapped[str | None] = mapped_column(String(40))
    not_before: Mapped[float]
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]


class HookMessageRow(Base):
    """A signed inbound call that was taken, so that it is not taken again."""

    __tablename__ = "hook_messages"

    hook_id: Mapped[str] = mapped_column(
        ForeignKey("hooks.id", ondelete="CASCADE"), primary_key=True
    )
    message_id: Mapped[str] = mapped_column(String(256), primary_key=True)
    created_at: Mapped[float] = mapped_column(index=True)


class WebhookRow(Base):
    """Where events are sent to."""

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    url: Mapped[str] = mapped_column(String(2000))
    description: Mapped[str] = mapped_column(String(200))
    events: Mapped[list[Any]]
    enabled: Mapped[bool] = mapped_column(default=True)
    disabled_reason: Mapped[str | None] = mapped_column(Text)
    secret: Mapped[str] = mapped_column(sealed(100))
    former_secret: Mapped[str | None] = mapped_column(sealed(100))
    former_until: Mapped[float | None]
    """Until then deliveries are signed with both."""
    created_at: Mapped[float]
    updated_at: Mapped[float]


class WebhookDeliveryRow(Base):
    """One event on its way to one webhook.

    pending ─▶ succeeded | failed;  failed ─▶ pending where it is asked for again.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (Index("ix_webhook_deliveries_webhook_id_id", "webhook_id", "id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event_id: Mapped[str] = mapped_column(String(40))
    type: Mapped[str] = mapped_column(String(40))
    body: Mapped[str] = mapped_column(Text)
    """The bytes that are signed and sent, the same in every try."""
    status: Mapped[str] = mapped_column(String(12))
    attempts: Mapped[list[Any]]
    next_at: Mapped[float | None]
    work_id: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[float]
    finished_at: Mapped[float | None] = mapped_column(index=True)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON)
