"""Pulls the annotations of connected projects, and reconciles feedback with them.

What the tool says now is what holds: a task that is annotated anew has its feedback changed, one
whose annotation was deleted or skipped has none any more. Pulling again changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import structlog
from anyio import to_thread
from sqlalchemy.exc import SQLAlchemyError

from app.compat.label_studio.config import ChoiceConfig, last_word, read_config
from app.compat.label_studio.endpoints import input_of, start_training
from app.compat.label_studio.studio import Studio
from app.core import messages
from app.core.errors import HeadstartError
from app.feedback import giving
from app.feedback.giving import Said
from app.http.dependencies import Services, writing
from app.infra import erasure
from app.infra.database import reading
from app.infra.orm import LabellingProjectRow
from app.infra.repositories.live import feedback as rows
from app.infra.repositories.live import labelling
from app.infra.repositories.targets import ResolvedModel
from app.operations.tidying import repeated

log = structlog.get_logger()
_PAUSE = 1.0
_LONGEST = 600.0
_GIVE_UP = 20
Known = dict[str, tuple[str | None, list[str] | None, str]]


@asynccontextmanager
async def pulling(services: Services) -> AsyncIterator[None]:
    """Pull for as long as the block lasts."""
    async with repeated(partial(_pull, services), every=_PAUSE):
        yield


async def _pull(services: Services) -> None:
    try:
        for row in await to_thread.run_sync(_taken, services):
            await _project(services, row)
    except (HeadstartError, SQLAlchemyError, OSError) as error:
        log.warning("annotations cannot be pulled now", reason=str(error))


def _taken(services: Services) -> list[LabellingProjectRow]:
    """Most of the time nothing is pending, and nobody need write to know that."""
    with reading(services.sessions) as session:
        if not labelling.is_any_pending(session):
            return []
    with writing(services) as session:
        return labelling.take_pending(session)


async def _project(services: Services, row: LabellingProjectRow) -> None:
    """One project; what stops it is kept, and tried again later: no webhook comes twice."""
    tries = int(row.told.get("tries", 0))
    try:
        told = await reconcile(services, row)
    except asyncio.CancelledError:
        await asyncio.shield(to_thread.run_sync(_note, services, row, {**row.told}, True))
        raise
    except Exception as error:  # one project must not keep others from theirs
        expected = isinstance(error, HeadstartError)
        why = str(error) if expected else "an unexpected error"
        log.warning("annotations cannot be pulled", project=row.project, reason=why,
                    exc_info=not expected)  # fmt: skip
        failed = {**row.told, "error": why, "tries": tries + 1}
        await to_thread.run_sync(_note, services, row, failed, False)
        if tries + 1 < _GIVE_UP:
            pause = min(_LONGEST, 2.0 ** (tries + 1))
            asyncio.get_running_loop().call_later(pause, _again, services, row, failed)
        return
    await to_thread.run_sync(_note, services, row, told, False)
    if row.told.get("train"):
        await to_thread.run_sync(start_training, services, row.organisation_id, row.alias)


def _again(services: Services, row: LabellingProjectRow, told: dict[str, Any]) -> None:
    task = asyncio.ensure_future(to_thread.run_sync(_note, services, row, told, True))
    task.add_done_callback(lambda done: done.cancelled() or done.exception())


def _note(
    services: Services, row: LabellingProjectRow, told: dict[str, Any], pending: bool
) -> None:
    with writing(services) as session:
        of = {"organisation_id": row.organisation_id, "alias": row.alias}
        if labelling.find(session, **of, project=row.project) is not None:
            labelling.put(
                session, **of, project=row.project, told=told, pending=True if pending else None
            )


async def reconcile(services: Services, row: LabellingProjectRow) -> dict[str, Any]:
    """Have feedback say what the project's annotations say now; how much of it there was."""
    resolved = await services.resolver.resolve(row.organisation_id, row.alias)
    config = read_config(row.label_config, resolved.modality)
    studio = Studio(row.hostname, row.token, services.settings)
    prefix = _prefix(row)
    known = await to_thread.run_sync(_known, services, row, prefix)
    counts = {"tasks": 0, "changed": 0, "unchanged": 0, "unreadable": 0, "removed": 0}
    seen = set()
    for task in await studio.tasks(row.project):
        said = last_word(task, config)
        if said is None:
            continue
        subject = f"{prefix}{task.get('id')}"
        seen.add(subject)
        counts["tasks"] += 1
        counts[await _task(services, row, (resolved, config, studio), task, known)] += 1
    gone = [known[subject][2] for subject in known.keys() - seen]
    await to_thread.run_sync(_remove, services, row, gone)
    return {**counts, "removed": len(gone)}


def _prefix(row: LabellingProjectRow) -> str:
    """How the subjects of a project's tasks begin."""
    return f"{labelling.SOURCE}:{row.alias}:{row.project}:"


def _known(services: Services, row: LabellingProjectRow, prefix: str) -> Known:
    with reading(services.sessions) as session:
        return labelling.said(session, row, prefix)


async def _task(
    services: Services,
    row: LabellingProjectRow,
    means: tuple[ResolvedModel, ChoiceConfig, Studio],
    task: dict[str, Any],
    known: Known,
) -> str:
    """What became of an annotated task: changed, unchanged or unreadable."""
    resolved, config, studio = means
    said, subject = last_word(task, config) or [], f"{_prefix(row)}{task.get('id')}"
    before = known.get(subject)
    if before is not None and said in ([before[0]], before[1]):
        return "unchanged"
    item = await input_of(task, config, resolved, studio)
    try:
        if item.kind == "error":
            raise messages.read_error(bytes(item.data))
        answer = await giving.answered(services, row.organisation_id, resolved, item)
        values = _values(said, answer)
    except HeadstartError as error:
        if error.code in ("overloaded", "predictor_unavailable", "database_unavailable"):
            raise
        log.info("a task gives no example", task=task.get("id"), reason=error.message)
        return "unreadable"
    found = Said.of(subject, resolved.id, answer, bytes(item.data))
    actor = f"{labelling.SOURCE}:{row.project}"
    values |= {"source": labelling.SOURCE, "actor": actor}
    await to_thread.run_sync(giving.keep, services, row.organisation_id, row.alias, found, values)
    return "changed"


def _values(said: list[str], answer: dict[str, Any]) -> dict[str, Any]:
    """What rows keep of it. Raises invalid_value where one label is wanted and several are said."""
    several = "labels" in answer
    if not several and len(said) != 1:
        raise HeadstartError("invalid_value", "the model says one label, the annotation not one")
    return {
        "label": None if several else said[0],
        "labels": sorted(set(said)) if several else None,
        "correct": None,
        "unknown": False,
        "audited": False,
    }


def _remove(services: Services, row: LabellingProjectRow, gone: list[str]) -> None:
    if not gone:
        return
    with writing(services) as session:
        needless: list[str] = []
        for feedback_id in gone:
            found = rows.get(session, feedback_id, organisation_id=row.organisation_id)
            needless += rows.remove(session, found)
    erasure.delete(services.storage, needless)
