"""Hooks that an alias's drift or quality pulls, and what pulled them last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, String, and_, case, cast, func, or_, select
from sqlalchemy.orm import Session

from app.infra.orm import AliasRow, DatasetRow, FeedbackRow, HookRow, HookRunRow
from app.infra.repositories.live import feedback

_LOOKED_AT = 200


class HookNews(NamedTuple):
    """A hook, and what has come for it: another mark means that there is news."""

    organisation_id: str
    id: str
    mark: tuple[Any, ...]


def with_labels(session: Session) -> list[HookNews]:
    """Enabled hooks that count labels, of every organisation, for which some have come since the
    last look: a newer version, or another number of pending feedback. One query.
    """
    of = FeedbackRow
    told = select(func.count(func.distinct(of.sha256))).where(
        FeedbackRow.organisation_id == HookRow.organisation_id,
        of.alias == HookRow.alias,
        *feedback.to_apply(),
        or_(~HookRow.audited_only, of.audited),
    )
    pending = case((HookRow.apply_feedback, told.correlate(HookRow).scalar_subquery()), else_=0)
    statement = (
        select(HookRow.organisation_id, HookRow.id, HookRow.triggers, DatasetRow.latest_version)
        .join(DatasetRow, DatasetRow.id == HookRow.dataset_id)
        .where(*_enabled("labels"))
        .where(
            or_(
                DatasetRow.latest_version > HookRow.looked_version,
                HookRow.pending_feedback != pending,
            )
        )
        .order_by(HookRow.id)
    )
    rows = session.execute(statement)
    return [HookNews(row[0], row[1], (row[3],)) for row in rows if _has(row[2], "labels")]


def with_quality(session: Session) -> list[HookNews]:
    """Enabled hooks that audited feedback pulls, of every organisation, where there is some on the
    model that the alias means; the mark changes with each word of it. One query.
    """
    of = FeedbackRow
    statement = (
        select(
            HookRow.organisation_id,
            HookRow.id,
            HookRow.triggers,
            HookRow.revision,
            AliasRow.model_id,
            func.count(of.id),
            func.sum(of.updated_at),
        )
        .join(
            AliasRow,
            and_(
                AliasRow.organisation_id == HookRow.organisation_id,
                AliasRow.name == HookRow.alias,
            ),
        )
        .join(
            of,
            and_(
                of.organisation_id == HookRow.organisation_id,
                of.alias == HookRow.alias,
                of.model_id == AliasRow.model_id,
                of.audited,
            ),
        )
        .where(*_enabled("quality"))
        .group_by(HookRow.id, AliasRow.model_id)
        .order_by(HookRow.id)
    )
    rows = session.execute(statement)
    return [HookNews(row[0], row[1], tuple(row[3:])) for row in rows if _has(row[2], "quality")]


def _enabled(type_: str) -> Sequence[ColumnElement[bool]]:
    """Conditions: enabled hooks whose triggers, as JSON, have the type's name somewhere."""
    return [HookRow.enabled.is_(True), cast(HookRow.triggers, String).contains(f'"{type_}"')]


def _has(triggers: Sequence[Any], type_: str) -> bool:
    return any(one["type"] == type_ for one in triggers)


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
