"""New labels: hooks whose datasets, or whose feedback, have enough of them are triggered."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import zip_longest

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core import manifest
from app.core.errors import HeadstartError
from app.http.dependencies import Services, writing
from app.infra.database import reading
from app.infra.orm import DatasetRow, DatasetVersionRow, HookRow
from app.infra.repositories import datasets
from app.infra.repositories.live import watched
from app.infra.repositories.retraining import hook_runs
from app.uploads import blobs

log = structlog.get_logger()
_LOOKING_SECONDS = 2.0
Counts = dict[tuple[str | None, str], int]
"""New labels between two versions, by their ids: hooks on one dataset count them once."""
Labels = set[tuple[str, tuple[str, ...]]]


def look(services: Services) -> int:
    """Trigger the hooks whose datasets, or whose feedback, have enough new labels; how many.

    Organisations take turns, and a look ends after a while: the next one begins with who is left.
    """
    end, triggered = time.monotonic() + _LOOKING_SECONDS, 0
    with reading(services.sessions) as session:
        due = [(one.organisation_id, one.id) for one in watched.with_labels(session)]
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
        log.warning("new labels cannot be counted", hook=hook_id, reason=error)
        return False


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


def _labels(services: Services, version: DatasetVersionRow) -> Labels:
    return labels_in(blobs.open_manifest(services, version).read_bytes())


def labels_in(data: bytes) -> Labels:
    """What a manifest says of each content: one label, or which of several."""
    return {(example.content, example.names) for example in manifest.load(data)}
