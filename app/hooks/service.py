"""Make, change and show hooks; every rule about what a hook may be is here."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.promotion.gate import PromotionGate, metric_of
from app.core.times import whole
from app.hooks import schedules
from app.hooks.schemas import Hook, HookChange, HookRun, NewHook
from app.http.dependencies import Services
from app.infra import weights
from app.infra.database import now
from app.infra.orm import AliasRow, HookRow, HookRunRow, ModelRow
from app.infra.repositories import datasets, sealing, work
from app.infra.repositories.datasets import DatasetSnapshot
from app.infra.repositories.retraining import hook_runs, promotions

MOST = 100
"""Hooks of an organisation."""
_SECRET_BYTES = 24
_CHECKED = {"dataset", "alias", "job", "gate", "triggers"}
"""What a hook is checked for when it is named, enabled or not."""


def new_secret() -> str:
    """A secret as Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def create(
    session: Session, services: Services, body: NewHook, secret: str, *, organisation_id: str
) -> HookRow:
    """A new hook, all of it checked, its schedules queued.

    Raises invalid_value where there are enough, secrets_key_missing, and what its job would raise.
    """
    held = select(func.count()).where(HookRow.organisation_id == organisation_id)
    if session.scalars(held).one() >= MOST:
        raise HeadstartError("invalid_value", f"there are {MOST} hooks already")
    at = now(session)
    row = HookRow(
        id=new_id("hook_"),
        organisation_id=organisation_id,
        created_at=at,
        updated_at=at,
        **_columns(body.model_dump(exclude_none=True)),
    )
    row.secret = sealing.kept(session, services.vault, secret, row)
    check(session, services, row)
    session.add(row)
    session.flush()
    schedule(session, row)
    return row


def change(session: Session, services: Services, row: HookRow, body: HookChange) -> None:
    """Change a locked hook, schedules included. Raises what its job would raise."""
    before = row.dataset_id
    for field, value in _columns(body.model_dump(exclude_none=True)).items():
        setattr(row, field, value)
    if row.dataset_id != before:
        row.trained_version, row.trained, row.looked_version = None, None, 0
    if row.enabled or _CHECKED & body.model_fields_set:
        check(session, services, row)
    row.revision += 1
    row.updated_at = now(session)
    session.flush()
    schedule(session, row)


def _columns(told: dict[str, Any]) -> dict[str, Any]:
    """What the body says, by the names of the row's columns."""
    renamed = {"dataset": "dataset_id"}
    return {renamed.get(name, name): value for name, value in told.items()}


def check(session: Session, services: Services, row: HookRow) -> None:
    """Whether the hook could run now; it counts labels from the version that there is.

    Raises not_found, dataset_failed, modality_mismatch, invalid_value and what a job's body may.
    """
    for trigger in row.triggers:
        if trigger["type"] == "schedule":
            schedules.check(trigger["cron"], trigger["timezone"])
    if weights.known(row.alias, services.settings.weights_dir) is not None:
        raise HeadstartError("invalid_value", "this is a backbone's name", param="alias")
    try:
        found = datasets.pin(session, row.dataset_id, organisation_id=row.organisation_id)
    except HeadstartError as error:
        raise HeadstartError(error.code, error.message, param="dataset") from error
    _check_alias(session, row, found)
    _check_gate(session, row, found)
    validation = row.job.get("validation_file")
    if validation is not None:
        with suppress(HeadstartError):  # the job says it better
            datasets.pin(session, validation, organisation_id=row.organisation_id)
    with session.begin_nested() as tried:
        services.make_job(session, {**row.job, "training_file": row.dataset_id},
                          row.organisation_id)  # fmt: skip
        tried.rollback()
    if row.trained_version is None:
        row.trained_version = row.looked_version = found.version.number


def _check_alias(session: Session, row: HookRow, found: DatasetSnapshot) -> None:
    """Raises modality_mismatch, label_mode_mismatch: such a model is never promoted there."""
    alias = session.get(AliasRow, (row.organisation_id, row.alias))
    meant = session.get(ModelRow, alias.model_id) if alias is not None else None
    for name in ("modality", "label_mode"):
        theirs, ours = getattr(meant, name, None), getattr(found.dataset, name)
        if theirs is not None and theirs != ours:
            why = f"{row.alias} means a model that is {theirs}, the dataset is {ours}"
            raise HeadstartError(_MISMATCH[name], why, param="alias")


_MISMATCH: Mapping[str, str] = {
    "modality": "modality_mismatch",
    "label_mode": "label_mode_mismatch",
}


def _check_gate(session: Session, row: HookRow, found: DatasetSnapshot) -> None:
    """Raises what a promotion by this gate would, of models that this dataset makes."""
    gate = PromotionGate.model_validate(row.gate)
    metric_of(gate, several=found.dataset.label_mode == "multi_label")
    if gate.evaluation_set is not None:
        kind = (found.dataset.modality, found.dataset.label_mode)
        promotions.pin(session, gate.evaluation_set, kind, row.organisation_id)


def schedule(session: Session, row: HookRow) -> None:
    """Queue the next time of each of a hook's schedules; those of before know they are old."""
    for place, trigger in enumerate(row.triggers):
        if trigger["type"] == "schedule" and row.enabled:
            schedule_next(session, row, place)


def schedule_next(session: Session, row: HookRow, place: int) -> None:
    """Queue the next time of one schedule, from now on."""
    trigger = row.triggers[place]
    due = schedules.next_due(trigger["cron"], trigger["timezone"], now(session))
    queued = work.add(
        session,
        hook_runs.KIND,
        organisation_id=row.organisation_id,
        payload={"schedule": {"hook": row.id, "revision": row.revision, "place": place,
                              "due": due}},
    )  # fmt: skip
    queued.not_before = due
    session.flush()


def get(session: Session, hook_id: str, *, organisation_id: str) -> HookRow:
    """One hook. Raises not_found."""
    row = session.get(HookRow, hook_id, populate_existing=True)
    if row is None or row.organisation_id != organisation_id:
        raise missing()
    return row


def lock(session: Session, hook_id: str, *, organisation_id: str) -> HookRow:
    """One hook, locked until the transaction ends. Raises not_found."""
    row = hook_runs.lock_hook(session, hook_id)
    if row is None or row.organisation_id != organisation_id:
        raise missing()
    return row


def missing() -> HeadstartError:
    """The same answer for a hook that never was and for somebody else's."""
    return HeadstartError("not_found", "there is no such hook")


def listing(
    session: Session, *, organisation_id: str, after: str | None, limit: int
) -> list[HookRow]:
    """At most `limit` hooks, newest first, those before `after`."""
    statement = select(HookRow).where(HookRow.organisation_id == organisation_id)
    if after is not None:
        statement = statement.where(HookRow.id < after)
    return list(session.scalars(statement.order_by(HookRow.id.desc()).limit(limit)))


def hook_of(row: HookRow, notes: Sequence[str]) -> Hook:
    """A hook as its caller sees it; `notes` say what of it has no effect."""
    dues = [
        schedules.next_due(one["cron"], one["timezone"], time.time())
        for one in row.triggers
        if one["type"] == "schedule" and row.enabled
    ]
    return Hook(
        id=row.id,
        name=row.name,
        dataset=row.dataset_id,
        alias=row.alias,
        job=row.job,
        gate=row.gate,
        triggers=row.triggers,
        debounce_seconds=row.debounce_seconds,
        max_runs_per_day=row.max_runs_per_day,
        apply_feedback=row.apply_feedback,
        audited_only=row.audited_only,
        enabled=row.enabled,
        notes=list(notes),
        trained_version=row.trained_version,
        next_due=whole(min(dues)) if dues else None,
        created_at=int(row.created_at),
        updated_at=int(row.updated_at),
    )


def run_of(row: HookRunRow) -> HookRun:
    """A run as its caller sees it."""
    status: Any = row.status
    return HookRun(
        id=row.id,
        hook=row.hook_id,
        cause=row.cause,
        status=status,
        reason=row.reason,
        joined=row.joined,
        triggers=row.triggers,
        dataset_version=row.dataset_version,
        job=row.job_id,
        promotion=row.promotion_id,
        created_at=int(row.created_at),
        started_at=whole(row.started_at),
        finished_at=whole(row.finished_at),
    )
