"""The steps of a run that the app takes: look for labels, come due, begin.

Each is one transaction under the fence of its work, so that two schedulers never take one twice.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from itertools import zip_longest
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core import manifest
from app.core.errors import HeadstartError
from app.hooks import service
from app.http.dependencies import Services, writing
from app.infra.database import now, reading
from app.infra.orm import AliasRow, DatasetRow, DatasetVersionRow, HookRow, HookRunRow, ModelRow
from app.infra.repositories import datasets, work
from app.infra.repositories.retraining import hook_runs
from app.infra.repositories.work import Claim
from app.uploads import blobs

log = structlog.get_logger()
_AGAIN_SECONDS = 0.5
"""How soon a run that waits for another looks again."""
_LOOKING_SECONDS = 2.0
Counts = dict[tuple[str | None, str], int]
"""New labels between two versions, by their ids: hooks on one dataset count them once."""


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
    try:
        found = datasets.get(session, hook.dataset_id, organisation_id=hook.organisation_id)
        why = _skipped(session, hook, run, found.version)
        if why is not None:
            hook_runs.finish(session, run, "skipped", why)
            return
        with session.begin_nested():
            body = _job(hook, run)
            run.job_id = services.make_job(session, body, hook.organisation_id)
    except HeadstartError as error:
        hook_runs.finish(session, run, "failed", f"no job could be made: {error.message}")
        return
    run.status, run.started_at = "running", now(session)
    run.dataset_version = found.version.number
    hook.trained_version = hook.looked_version = found.version.number
    hook.pending_feedback, hook.trained = 0, _print(hook, found.version)
    session.flush()


def _job(hook: HookRow, run: HookRunRow) -> dict[str, Any]:
    metadata = {**(hook.job.get("metadata") or {}), "hook": hook.id, "run": run.id}
    return {**hook.job, "training_file": hook.dataset_id, "metadata": metadata}


def _skipped(
    session: Session, hook: HookRow, run: HookRunRow, version: DatasetVersionRow
) -> str | None:
    """Why the run need not, or may not, train."""
    if not hook.enabled:
        return "the hook is disabled"
    begun = hook_runs.begun_today(session, hook)
    if begun >= hook.max_runs_per_day:
        return f"{begun} runs have trained within 24 hours, and max_runs_per_day is no more"
    if run.cause.get("force"):
        return None
    return _unchanged(session, hook, version)


def _unchanged(session: Session, hook: HookRow, version: DatasetVersionRow) -> str | None:
    """What was made of just this already, if anything was."""
    last = hook_runs.last_trained(session, hook)
    if last is not None and hook.trained == _print(hook, version):
        return f"nothing has changed: {last.id} trained on version {version.number} already"
    meant = _meant(session, hook)
    if last is None and meant is not None and meant.version_id == version.id:
        same = meant.backbone == hook.job["model"] and meant.method == _method(hook)
        return (
            f"nothing has changed: {hook.alias} was trained on version {version.number} already"
            if same
            else None
        )
    return None


def _meant(session: Session, hook: HookRow) -> ModelRow | None:
    alias = session.get(AliasRow, (hook.organisation_id, hook.alias))
    return session.get(ModelRow, alias.model_id) if alias is not None else None


def _method(hook: HookRow) -> str:
    return str((hook.job.get("method") or {}).get("type", "auto"))


def _print(hook: HookRow, version: DatasetVersionRow) -> str:
    """What a run trains on and how; the same again would make the same model."""
    told = json.dumps([version.id, hook.job], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def look(services: Services) -> int:
    """Trigger the hooks whose datasets, or whose feedback, have enough new labels; how many.

    Organisations take turns, and a look ends after a while: the next one begins with who is left.
    """
    end, triggered = time.monotonic() + _LOOKING_SECONDS, 0
    with reading(services.sessions) as session:
        due = [
            (row.organisation_id, row.id)
            for row in _with_labels(session)
            if _news(session, services, row)
        ]
    counts: Counts = {}
    for hook_id in in_turn(due):
        triggered += _looked(services, hook_id, counts)
        if time.monotonic() > end:
            break
    return triggered


def in_turn(due: Iterable[tuple[str, str]]) -> list[str]:
    """Hooks (organisation, id) so that each organisation's first comes before any one's second."""
    queues: dict[str, list[str]] = {}
    for organisation_id, hook_id in due:
        queues.setdefault(organisation_id, []).append(hook_id)
    return [hook_id for turn in zip_longest(*queues.values()) for hook_id in turn if hook_id]


def _looked(services: Services, hook_id: str, counts: Counts) -> bool:
    """A look at one hook; one whose files cannot be read must not keep others from theirs."""
    try:
        return _look(services, hook_id, counts)
    except (HeadstartError, OSError, ValueError) as error:
        log.warning("new labels cannot be counted", hook=hook_id, reason=str(error))
        return False


def _with_labels(session: Session) -> list[HookRow]:
    """Enabled hooks that count labels, of every organisation."""
    rows = session.scalars(select(HookRow).where(HookRow.enabled)).all()
    return [row for row in rows if _count(row) is not None]


def _count(row: HookRow) -> int | None:
    counts = [one["count"] for one in row.triggers if one["type"] == "labels"]
    return min(counts) if counts else None


def _news(session: Session, services: Services, hook: HookRow) -> bool:
    dataset = session.get(DatasetRow, hook.dataset_id)
    if dataset is None:
        return False
    pending = _pending(session, services, hook)
    return dataset.latest_version > hook.looked_version or pending != hook.pending_feedback


def _pending(session: Session, services: Services, hook: HookRow) -> int:
    """Labels that feedback has brought and no version has yet."""
    if not hook.apply_feedback:
        return 0
    whose = (hook.organisation_id, hook.alias, hook.audited_only)
    return services.pending_feedback(session, *whose)


def _look(services: Services, hook_id: str, counts: Counts) -> bool:
    """Count a hook's new labels and trigger it where they are enough."""
    with reading(services.sessions) as session:
        hook = session.get(HookRow, hook_id)
        if hook is None:
            return False
        versions = _versions(session, hook)
    counted = _counted_once(services, versions, counts) if versions is not None else 0
    with writing(services) as session:
        row = hook_runs.lock_hook(session, hook_id)
        if row is None or versions is None or not _news(session, services, row):
            return False
        return _counted(session, services, row, counted, versions[1].number)


def _counted(
    session: Session, services: Services, hook: HookRow, counted: int, number: int
) -> bool:
    pending = _pending(session, services, hook)
    hook.looked_version, hook.pending_feedback = number, pending
    enough = _count(hook)
    if enough is None or counted + pending < enough:
        return False
    told = {"type": "labels", "count": counted + pending, "dataset_version": number}
    hook_runs.trigger(session, hook, told | ({"feedback": pending} if pending else {}))
    return True


def _versions(
    session: Session, hook: HookRow
) -> tuple[DatasetVersionRow | None, DatasetVersionRow] | None:
    """The version that labels are counted from, and the latest; None where the dataset is gone."""
    try:
        latest = datasets.get(session, hook.dataset_id, organisation_id=hook.organisation_id)
    except HeadstartError:
        return None
    base = session.scalars(
        select(DatasetVersionRow).where(
            DatasetVersionRow.dataset_id == hook.dataset_id,
            DatasetVersionRow.organisation_id == hook.organisation_id,
            DatasetVersionRow.number == hook.trained_version,
        )
    ).one_or_none()
    return base, latest.version


def _counted_once(
    services: Services,
    versions: tuple[DatasetVersionRow | None, DatasetVersionRow],
    counts: Counts,
) -> int:
    base, latest = versions
    key = (base.id if base is not None else None, latest.id)
    if key not in counts:
        counts[key] = _new_labels(services, base, latest)
    return counts[key]


def _new_labels(
    services: Services, base: DatasetVersionRow | None, latest: DatasetVersionRow
) -> int:
    """How many labels of the latest version the other one has not."""
    if base is not None and base.number >= latest.number:
        return 0
    known = _labels(services, base) if base is not None else set()
    return len(_labels(services, latest) - known)


def _labels(services: Services, version: DatasetVersionRow) -> set[tuple[str, str]]:
    data = blobs.open_manifest(services, version).read_bytes()
    return {(example.content, example.label) for example in manifest.load(data)}
