"""Runs of hooks: every trigger is one, and ends as one, whatever came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.infra.database import now
from app.infra.lanes import HOOK
from app.infra.orm import HookRow, HookRunRow, PromotionRow
from app.infra.repositories import work
from app.infra.repositories.retraining import webhooks

KIND = HOOK
ENDED = ("succeeded", "skipped", "failed")
DAY_SECONDS = 86_400.0


def lock_hook(session: Session, hook_id: str) -> HookRow | None:
    """The hook's row, locked until the transaction ends; None where it is gone."""
    statement = select(HookRow).where(HookRow.id == hook_id).with_for_update()
    return session.execute(statement, execution_options={"populate_existing": True}).scalar()


def trigger(session: Session, hook: HookRow, cause: Mapping[str, Any]) -> HookRunRow:
    """What becomes of a trigger of a locked hook: a run that waits for the debounce's end, or,
    where one waits already, a row that says which one it has joined.
    """
    at = now(session)
    run = HookRunRow(
        id=new_id("run_"),
        organisation_id=hook.organisation_id,
        hook_id=hook.id,
        status="waiting",
        cause=dict(cause),
        not_before=at + hook.debounce_seconds,
        created_at=at,
    )
    session.add(run)
    waiting = _of_status(session, hook, "waiting", but=run.id)
    if waiting is not None:
        waiting.triggers += 1
        run.joined = waiting.id
        finish(session, run, "skipped", f"joined {waiting.id}, which has not begun yet")
        return run
    row = work.add(session, KIND, organisation_id=hook.organisation_id, payload={"run": run.id})
    row.not_before = run.not_before
    session.flush()
    return run


def _of_status(session: Session, hook: HookRow, status: str, *, but: str = "") -> HookRunRow | None:
    statement = select(HookRunRow).where(
        HookRunRow.hook_id == hook.id, HookRunRow.status == status, HookRunRow.id != but
    )
    return session.scalars(statement.order_by(HookRunRow.id).limit(1)).first()


def running(session: Session, hook: HookRow) -> HookRunRow | None:
    """The run that this hook is at, if there is one."""
    return _of_status(session, hook, "running")


def begun_today(session: Session, hook: HookRow) -> int:
    """How many runs have begun a job within the last 24 hours."""
    since = now(session) - DAY_SECONDS
    statement = select(func.count()).where(
        HookRunRow.hook_id == hook.id, HookRunRow.job_id.is_not(None),
        HookRunRow.started_at > since,
    )  # fmt: skip
    return int(session.scalars(statement).one())


def last_trained(session: Session, hook: HookRow) -> HookRunRow | None:
    """The last run whose job has made a model, or still may."""
    statement = select(HookRunRow).where(
        HookRunRow.hook_id == hook.id,
        HookRunRow.job_id.is_not(None),
        HookRunRow.status.in_(["running", "succeeded"]),
    )
    return session.scalars(statement.order_by(HookRunRow.id.desc()).limit(1)).first()


def last_with_job(session: Session, hook: HookRow) -> HookRunRow | None:
    """The last run that has begun a job, whatever came of it."""
    statement = select(HookRunRow).where(
        HookRunRow.hook_id == hook.id, HookRunRow.job_id.is_not(None)
    )
    return session.scalars(statement.order_by(HookRunRow.id.desc()).limit(1)).first()


def last_decided(session: Session, run: HookRunRow) -> PromotionRow | None:
    """The last promotion that a run or a later one of its hook has asked for."""
    statement = (
        select(PromotionRow)
        .join(HookRunRow, HookRunRow.promotion_id == PromotionRow.id)
        .where(HookRunRow.hook_id == run.hook_id, HookRunRow.id >= run.id)
    )
    return session.scalars(statement.order_by(HookRunRow.id.desc()).limit(1)).first()


def finish(session: Session, run: HookRunRow, status: str, reason: str) -> None:
    """End a run that has not ended, and tell so."""
    if run.status in ENDED:
        return
    run.status, run.reason, run.finished_at = status, reason, now(session)
    session.flush()
    if run.joined is None:
        webhooks.emit(session, "hook.run.ended", told(run), organisation_id=run.organisation_id)


def told(run: HookRunRow) -> dict[str, Any]:
    """A run as events tell it."""
    return {
        "id": run.id,
        "object": "hook.run",
        "hook": run.hook_id,
        "cause": run.cause,
        "status": run.status,
        "reason": run.reason,
        "job": run.job_id,
        "promotion": run.promotion_id,
    }


def of_job(session: Session, job_id: str) -> HookRunRow | None:
    """The run that made a job, locked; None where none did."""
    statement = select(HookRunRow).where(HookRunRow.job_id == job_id).with_for_update()
    return session.scalars(statement).first()


def lock(session: Session, run_id: str) -> HookRunRow | None:
    """The run's row, locked until the transaction ends; None where it is gone. Whoever locks its
    hook, too, does so before.
    """
    statement = select(HookRunRow).where(HookRunRow.id == run_id).with_for_update()
    return session.execute(statement, execution_options={"populate_existing": True}).scalar()


def hook_of(session: Session, run_id: str) -> str | None:
    """The hook of a run; None where the run is gone."""
    return session.scalar(select(HookRunRow.hook_id).where(HookRunRow.id == run_id))


def listing(session: Session, hook: HookRow, *, after: str | None, limit: int) -> list[HookRunRow]:
    """At most `limit` runs, newest first, those before `after`."""
    statement = select(HookRunRow).where(HookRunRow.hook_id == hook.id)
    if after is not None:
        statement = statement.where(HookRunRow.id < after)
    return list(session.scalars(statement.order_by(HookRunRow.id.desc()).limit(limit)))


def get(session: Session, hook: HookRow, run_id: str) -> HookRunRow:
    """One run of a hook. Raises not_found."""
    row = session.get(HookRunRow, run_id, populate_existing=True)
    if row is None or row.hook_id != hook.id:
        raise HeadstartError("not_found", "there is no such run")
    return row
