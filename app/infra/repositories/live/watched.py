"""Hooks that an alias's drift or quality pulls, and what pulled them last."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.infra.orm import HookRow, HookRunRow

_LOOKED_AT = 200


def hooks(session: Session, type_: str) -> list[HookRow]:
    """Enabled hooks with such a trigger, of every organisation."""
    rows = session.scalars(select(HookRow).where(HookRow.enabled)).all()
    return [row for row in rows if any(one["type"] == type_ for one in row.triggers)]


def hooks_of(session: Session, type_: str, *, organisation_id: str, alias: str) -> list[HookRow]:
    """Enabled hooks of an alias with such a trigger, locked."""
    statement = select(HookRow).where(
        HookRow.organisation_id == organisation_id, HookRow.alias == alias, HookRow.enabled
    )
    rows = session.scalars(statement.order_by(HookRow.id).with_for_update()).all()
    return [row for row in rows if any(one["type"] == type_ for one in row.triggers)]


def told_before(session: Session, hook: HookRow, type_: str, model_id: str) -> int:
    """On how much audited feedback on a model the hook was pulled last; 0: it never was."""
    statement = select(HookRunRow.cause).where(HookRunRow.hook_id == hook.id)
    latest = session.scalars(statement.order_by(HookRunRow.id.desc()).limit(_LOOKED_AT))
    counts = [
        int(cause.get("audited", 0))
        for cause in latest
        if cause.get("type") == type_ and cause.get("model") == model_id
    ]
    return max(counts, default=0)
