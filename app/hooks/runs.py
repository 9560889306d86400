"""The steps of a run that the app takes: come due, begin.

Each is one transaction under the fence of its work, so that two schedulers never take one twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import LONGEST_SUFFIX, suffix_of
from app.hooks import service, standing
from app.hooks.standing import Settled, Unasked
from app.http.dependencies import Services, writing
from app.infra.database import now, reading
from app.infra.orm import DatasetVersionRow, HookRow, HookRunRow
from app.infra.repositories import datasets, needs, work
from app.infra.repositories.retraining import endings, hook_runs
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
    """Begin a run that has waited long enough: its job, or the reason why there is none.

    The hook is locked before the run, as triggers that join it do: otherwise each would wait for
    the other, and a busy hook's runs would begin late or not at all.
    """
    with reading(services.sessions) as session:
        run = session.get(HookRunRow, claim.payload["run"])
        hook = session.get(HookRow, run.hook_id) if run is not None else None
    if hook is not None and hook.apply_feedback and hook.enabled:
        services.apply_feedback(services, hook)
    with writing(services) as session:
        work.hold(session, claim)
        hook = hook_runs.lock_hook(session, hook.id) if hook is not None else None
        run = hook_runs.lock(session, claim.payload["run"]) if hook is not None else None
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
    if not hook.enabled:
        hook_runs.finish(session, run, "skipped", "the hook is disabled")
        return
    if endings.is_alias_taken_away(session, hook, run):
        hook_runs.finish(session, run, "failed", endings.taken_away(hook))
        hook.enabled = False
        return
    try:
        found = datasets.get(session, hook.dataset_id, organisation_id=hook.organisation_id)
        forced = run.cause.get("force")
        stands = None if forced else standing.of(session, services, hook, found.version)
        if isinstance(stands, Settled):
            hook_runs.finish(session, run, "skipped", stands.why)
        elif isinstance(stands, Unasked):
            _ask(session, hook, run, stands)
        else:
            _train(session, services, hook, run=run, version=found.version)
    except HeadstartError as error:
        hook_runs.finish(session, run, "failed", f"no job could be made: {error.message}")


def _ask(session: Session, hook: HookRow, run: HookRunRow, unasked: Unasked) -> None:
    """Let the gate look at a model that is there, of this version, without training it again."""
    try:
        with session.begin_nested():
            endings.judge(session, hook, run, unasked.model, why=unasked.why)
    except HeadstartError as error:
        hook_runs.finish(session, run, "failed", f"the model cannot be judged: {error.message}")
        return
    run.status, run.started_at = "running", now(session)
    run.dataset_version = unasked.version
    session.flush()


def _train(
    session: Session,
    services: Services,
    hook: HookRow,
    *,
    run: HookRunRow,
    version: DatasetVersionRow,
) -> None:
    begun = hook_runs.begun_today(session, hook)
    if begun >= hook.max_runs_per_day:
        why = f"{begun} runs have trained within 24 hours, and max_runs_per_day is no more"
        hook_runs.finish(session, run, "skipped", why)
        return
    with session.begin_nested():
        body = _job(hook, run, version)
        run.job_id = services.make_job(session, body, hook.organisation_id)
    run.status, run.started_at = "running", now(session)
    run.dataset_version = version.number
    hook.trained_version = hook.looked_version = version.number
    hook.pending_feedback = 0
    hook.trained = standing.mark(session, hook, version)
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
