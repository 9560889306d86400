"""The steps of a run that the app takes: come due, begin.

Each is one transaction under the fence of its work, so that two schedulers never take one twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import LONGEST_SUFFIX, suffix_of
from app.core.modalities import MODALITIES
from app.hooks import service
from app.http.dependencies import Services, writing
from app.infra.auto_backbone import AUTO, auto_backbone
from app.infra.database import now, reading
from app.infra.orm import AliasRow, DatasetVersionRow, HookRow, HookRunRow, ModelRow
from app.infra.repositories import datasets, needs, work
from app.infra.repositories.retraining import hook_runs
from app.infra.repositories.work import Claim

log = structlog.get_logger()
_AGAIN_SECONDS = 0.5
"""How soon a run that waits for another looks again."""


def come_due(services: Services, claim: Claim) -> None:
    """A schedule's time has come: trigger the hook, and queue the next time."""
    told = claim.payload["schedule"]
    with writing(services) as session:
        work.finish(session, claim)
        hook = hook_runs.lock_hook(session, told["hook"])
        if hook is None or not hook.enabled or hook.revision != told["revision"]:
            return
        cron = hook.triggers[told["place"]]["cron"]
        hook_runs.trigger(session, hook, {"type": "schedule", "cron": cron, "due": told["due"]})
        service.schedule_next(session, hook, told["place"])


def begin(services: Services, claim: Claim) -> None:
    """Begin a run that has waited long enough: its job, or the reason why there is none."""
    with reading(services.sessions) as session:
        run = session.get(HookRunRow, claim.payload["run"])
        hook = session.get(HookRow, run.hook_id) if run is not None else None
    if hook is not None and hook.apply_feedback and hook.enabled:
        services.apply_feedback(services, hook)
    with writing(services) as session:
        work.hold(session, claim)
        run = hook_runs.lock(session, claim.payload["run"])
        hook = hook_runs.lock_hook(session, run.hook_id) if run is not None else None
        if run is None or hook is None or run.status != "waiting":
            work.finish(session, claim)
            return
        if hook_runs.running(session, hook) is not None:
            work.give_back(session, claim, delay=_AGAIN_SECONDS)
            return
        work.finish(session, claim)
        _begin(session, services, hook, run)


def _begin(session: Session, services: Services, hook: HookRow, run: HookRunRow) -> None:
    gone = needs.lost(session, hook)
    if gone:
        _give_up(session, hook, run, gone)
        return
    try:
        found = datasets.get(session, hook.dataset_id, organisation_id=hook.organisation_id)
        why = _skipped(session, services, hook, run=run, version=found.version)
        if why is not None:
            hook_runs.finish(session, run, "skipped", why)
            return
        with session.begin_nested():
            body = _job(hook, run, found.version)
            run.job_id = services.make_job(session, body, hook.organisation_id)
    except HeadstartError as error:
        hook_runs.finish(session, run, "failed", f"no job could be made: {error.message}")
        return
    run.status, run.started_at = "running", now(session)
    run.dataset_version = found.version.number
    hook.trained_version = hook.looked_version = found.version.number
    hook.pending_feedback, hook.trained = 0, _print(hook, found.version)
    session.flush()


def _give_up(session: Session, hook: HookRow, run: HookRunRow, gone: Mapping[str, str]) -> None:
    """What is gone does not come back: the hook ends trying, and its notes say why."""
    named = ", ".join(f"{field} {name}" for field, name in gone.items())
    why = f"{named} was deleted: the hook is disabled until it names another"
    hook_runs.finish(session, run, "failed" if hook.enabled else "skipped", why)
    hook.enabled = False


def _job(hook: HookRow, run: HookRunRow, version: DatasetVersionRow) -> dict[str, Any]:
    metadata = {**(hook.job.get("metadata") or {}), "hook": hook.id, "run": run.id}
    suffix = hook.job.get("suffix") or model_suffix(hook.name, version.number)
    return {
        **hook.job,
        "training_file": hook.dataset_id,
        "metadata": metadata,
        "suffix": suffix,
    }


def model_suffix(name: str, version: int) -> str:
    """What a hook's model is called: the hook's name as far as a suffix can have it, and the
    dataset's version, which tells one night's from another's.
    """
    end = f"v{version}"
    plain = suffix_of(name, LONGEST_SUFFIX - len(end) - 1)
    return f"{plain}-{end}" if plain else end


def _skipped(
    session: Session,
    services: Services,
    hook: HookRow,
    *,
    run: HookRunRow,
    version: DatasetVersionRow,
) -> str | None:
    """Why the run need not, or may not, train."""
    if not hook.enabled:
        return "the hook is disabled"
    begun = hook_runs.begun_today(session, hook)
    if begun >= hook.max_runs_per_day:
        return f"{begun} runs have trained within 24 hours, and max_runs_per_day is no more"
    if run.cause.get("force"):
        return None
    return _unchanged(session, services, hook, version)


def _unchanged(
    session: Session, services: Services, hook: HookRow, version: DatasetVersionRow
) -> str | None:
    """What was made of just this already, if anything was."""
    last = hook_runs.last_trained(session, hook)
    if last is not None and hook.trained == _print(hook, version):
        return f"nothing has changed: {last.id} trained on version {version.number} already"
    meant = _meant(session, hook)
    if last is None and meant is not None and meant.version_id == version.id:
        same = meant.backbone == _backbone(services, hook, meant) and meant.method == _method(hook)
        return (
            f"nothing has changed: {hook.alias} was trained on version {version.number} already"
            if same
            else None
        )
    return None


def _meant(session: Session, hook: HookRow) -> ModelRow | None:
    alias = session.get(AliasRow, (hook.organisation_id, hook.alias))
    return session.get(ModelRow, alias.model_id) if alias is not None else None


def _backbone(services: Services, hook: HookRow, meant: ModelRow) -> str:
    """The backbone that the hook's job names, or what `auto` is here."""
    named = str(hook.job.get("model") or AUTO)
    if named != AUTO:
        return named
    return auto_backbone(MODALITIES[meant.modality].name, services.settings).spec.name


def _method(hook: HookRow) -> str:
    return str((hook.job.get("method") or {}).get("type", "auto"))


def _print(hook: HookRow, version: DatasetVersionRow) -> str:
    """What a run trains on and how; the same again would make the same model."""
    told = json.dumps([version.id, hook.job], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()
