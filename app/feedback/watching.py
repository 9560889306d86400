"""Hooks whose alias has evidently become less accurate than they allow."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from app.core.live.quality import ENOUGH, evidence_below, said_right
from app.feedback.views import told_of
from app.http.dependencies import Services, writing
from app.infra.database import reading
from app.infra.orm import AliasRow, HookRow
from app.infra.repositories.live import feedback as rows
from app.infra.repositories.live import watched
from app.infra.repositories.retraining import hook_runs

_MORE = 1.25
"""The same model pulls a hook again once there is so much more audited feedback on it."""


Seen = dict[str, tuple[Any, ...]]
"""By hook: the mark of what was said of its alias when it was looked at last."""


def watch_quality(services: Services, seen: Seen) -> int:
    """Trigger the hooks whose limit audited feedback evidently shows to be missed; how many.

    Looks at those alone of whose alias something was said that is not `seen`, which this updates.
    """
    with reading(services.sessions) as session:
        found = watched.with_quality(session)
        news = [one.id for one in found if seen.get(one.id) != one.mark]
        due = [hook_id for hook_id in news if _is_due(session, hook_id)]
    pulled = sum(_pulled(services, hook_id) for hook_id in due)
    seen.clear()
    seen.update({one.id: one.mark for one in found})
    return pulled


def _is_due(session: Session, hook_id: str) -> bool:
    hook = session.get(HookRow, hook_id)
    return hook is not None and _cause(session, hook) is not None


def _pulled(services: Services, hook_id: str) -> bool:
    with writing(services) as session:
        hook = hook_runs.lock_hook(session, hook_id)
        cause = _cause(session, hook) if hook is not None and hook.enabled else None
        if hook is None or cause is None:
            return False
        hook_runs.trigger(session, hook, cause)
        return True


def _cause(session: Session, hook: HookRow) -> dict[str, Any] | None:
    """What has fallen below the hook's limit, if anything has and it was not told already."""
    alias = session.get(AliasRow, (hook.organisation_id, hook.alias))
    limits = [float(one["below"]) for one in hook.triggers if one["type"] == "quality"]
    if alias is None or not limits:
        return None
    found = rows.audited(
        session,
        organisation_id=hook.organisation_id,
        alias=hook.alias,
        model_id=alias.model_id,
    )
    once = {row.sha256 or row.id: row for row in reversed(found)}  # again it says nothing new
    said = [said_right(row.answer, told_of(row)) for row in reversed(once.values())]
    right = [one for one in said if one is not None]
    before = watched.told_before(session, hook, "quality", alias.model_id)
    if len(right) <= before * _MORE:
        return None
    evidence = evidence_below(right, min(1.0, max(limits)))
    if evidence < ENOUGH:
        return None
    return {
        "type": "quality",
        "model": alias.model_id,
        "audited": len(right),
        "accuracy": sum(right) / len(right),
        "below": max(limits),
        "evidence": round(min(evidence, 1e9), 2),
    }
