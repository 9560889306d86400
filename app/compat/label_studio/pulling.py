"""Pulls the annotations of connected projects, and reconciles feedback with them.

What the tool says now is what holds: a task that is annotated anew has its feedback changed, one
whose annotation was deleted or skipped has none any more, and examples that were made of it are
left out of the datasets' next versions. Pulling again changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from anyio import to_thread
from sqlalchemy.exc import SQLAlchemyError

from app.compat.label_studio.config import Annotated, ChoiceConfig, annotated, read_config
from app.compat.label_studio.endpoints import says_of, start_training, studio_of
from app.compat.label_studio.studio import Studio
from app.compat.label_studio.tasks import input_of
from app.compat.label_studio.words import classes_of
from app.core import messages
from app.core.errors import DATABASE_AWAY, HeadstartError
from app.feedback import fitness, giving
from app.feedback.withdrawing import withdraw
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
_AT_ONCE = 8
"""Organisations whose projects a process pulls at a time: one's slow tool holds up no other's."""
_PULL_SECONDS = 300.0
_LEASE_SECONDS = _PULL_SECONDS + 60.0
_TASKS_AT_ONCE = 4
_LONGEST = 600.0
_GIVE_UP = 20
_LONGEST_ACTOR = 100
Known = dict[str, tuple[str | None, list[str] | None, str]]
Pulls = dict[str, "asyncio.Task[None]"]
"""Pulls under way, by organisation."""


@asynccontextmanager
async def pulling(services: Services) -> AsyncIterator[None]:
    """Pull for as long as the block lasts; what is under way at its end is pulled by the next."""
    under_way: Pulls = {}
    try:
        async with repeated(partial(_pull, services, under_way), every=_PAUSE):
            yield
    finally:
        for pull in under_way.values():
            pull.cancel()
        if under_way:
            await asyncio.wait(under_way.values())


async def _pull(services: Services, under_way: Pulls) -> None:
    for organisation in [one for one, pull in under_way.items() if pull.done()]:
        del under_way[organisation]
    try:
        room = _AT_ONCE - len(under_way)
        taken = await to_thread.run_sync(_taken, services, set(under_way), room) if room else []
    except (SQLAlchemyError, OSError) as error:
        log.warning("annotations cannot be pulled now", reason=error)
        return
    for row in taken:
        under_way[row.organisation_id] = asyncio.create_task(_project(services, row))


def _taken(services: Services, busy: set[str], room: int) -> list[LabellingProjectRow]:
    """Most of the time nothing is due, and nobody need write to know that."""
    with reading(services.sessions) as session:
        if not labelling.is_any_due(session):
            return []
    with writing(services) as session:
        return labelling.claim(session, most=room, busy=busy, seconds=_LEASE_SECONDS)


async def _project(services: Services, row: LabellingProjectRow) -> None:
    """One project; what stops it is kept, and tried again later: no webhook comes twice."""
    try:
        async with asyncio.timeout(_PULL_SECONDS):
            told = await reconcile(services, row)
        if row.told.get("train"):
            await to_thread.run_sync(start_training, services, row.organisation_id, row.alias)
    except asyncio.CancelledError:
        await asyncio.shield(to_thread.run_sync(_release, services, row, row.told, 0.0))
        raise
    except Exception as error:  # one project must not keep others from theirs
        expected = isinstance(error, HeadstartError | TimeoutError)
        why = _reason(error) if expected else "an unexpected error"
        log.warning("annotations cannot be pulled", project=row.project, reason=error,
                    exc_info=not expected)  # fmt: skip
        tries = int(row.told.get("tries", 0)) + 1
        pause = None if tries >= _GIVE_UP else min(_LONGEST, 2.0**tries)
        told = {**row.told, "error": why, "tries": tries}
        await to_thread.run_sync(_release, services, row, told, pause)
        return
    await to_thread.run_sync(_release, services, row, told, None)


def _reason(error: Exception) -> str:
    return str(error) or f"it took more than {_PULL_SECONDS:.0f} s; what came is kept"


def _release(
    services: Services, row: LabellingProjectRow, told: dict[str, Any], again_in: float | None
) -> None:
    with writing(services) as session:
        labelling.release(session, row, told, again_in=again_in)


async def reconcile(services: Services, row: LabellingProjectRow) -> dict[str, Any]:
    """Have feedback say what the project's annotations say now; how much of it there was."""
    resolved = await services.resolver.resolve(row.organisation_id, row.alias)
    says = await says_of(services, row.organisation_id, resolved)
    config = read_config(row.label_config, resolved.modality, says)
    config.check_holds(several=says.several)
    studio = studio_of(services, row)
    prefix = _prefix(row)
    known = await to_thread.run_sync(_known, services, row, prefix)
    export = await studio.export(row.project)
    read = partial(annotated, several=says.several)
    found = await to_thread.run_sync(read, export, config)
    del export
    said = {one for task in found for one in task.choices}
    names = classes_of(said, says.labels)
    tasks = list({task.id: _worded(task, names) for task in found if task.id}.values())
    counts = {"tasks": len(found), "changed": 0, "unchanged": 0,
              "unreadable": len(found) - len(tasks), "removed": 0}  # fmt: skip
    new = []
    for task in tasks:
        before = known.get(prefix + task.id)
        if before is not None and task.choices in ([before[0]], before[1]):
            counts["unchanged"] += 1
        else:
            new.append(task)
    means = (resolved, config, studio)
    for start in range(0, len(new), _TASKS_AT_ONCE):
        part = new[start : start + _TASKS_AT_ONCE]
        for became in await asyncio.gather(*(_task(services, row, means, each) for each in part)):
            counts[became] += 1
    gone = [known[subject][2] for subject in known.keys() - {prefix + task.id for task in tasks}]
    withdrawn = await to_thread.run_sync(_remove, services, row, gone)
    return {**counts, "removed": len(gone), "withdrawn": withdrawn}


def _worded(task: Annotated, names: Mapping[str, str]) -> Annotated:
    """The task with its choices as the model spells its classes, each once and in the order in
    which feedback keeps them: the tool has them as they were clicked."""
    return replace(task, choices=sorted({names[one] for one in task.choices}))


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
    task: Annotated,
) -> str:
    """What became of a task that is annotated otherwise than before: changed or unreadable."""
    resolved, config, studio = means
    item = await input_of(task.shows, config, resolved, studio)
    try:
        if item.kind == "error":
            raise messages.read_error(bytes(item.data))
        for label in task.choices:
            fitness.check_label(label)
        if item.kind == "text":
            fitness.check_text(bytes(item.data))
        answer = await giving.answered(services, row.organisation_id, resolved, item)
        values = _values(task.choices, answer)
    except HeadstartError as error:
        if error.code in ("overloaded", "predictor_unavailable", *DATABASE_AWAY):
            raise
        log.info("a task gives no example", task=task.id, reason=error)
        return "unreadable"
    subject = _prefix(row) + task.id
    found = await to_thread.run_sync(giving.Said.of, subject, resolved.id, answer, item)
    actor = f"{labelling.SOURCE}:{row.project}"[:_LONGEST_ACTOR]
    values |= {"source": labelling.SOURCE, "actor": actor}
    keep = partial(giving.keep, require=partial(labelling.hold, row=row))
    await to_thread.run_sync(keep, services, row.organisation_id, row.alias, found, values)
    return "changed"


def _values(said: list[str], answer: dict[str, Any]) -> dict[str, Any]:
    """What rows keep of it. Raises invalid_value where one label is wanted and several are said."""
    several = "labels" in answer
    if not several and len(said) != 1:
        raise HeadstartError("invalid_value", "the model says one label, the annotation not one")
    return {
        "label": None if several else said[0],
        "labels": said if several else None,
        "correct": None,
        "unknown": False,
        "audited": False,
    }


def _remove(services: Services, row: LabellingProjectRow, gone: list[str]) -> int:
    """Forget what no annotation says any more; how many examples datasets leave out for it."""
    if not gone:
        return 0
    whose = {"organisation_id": row.organisation_id}
    with reading(services.sessions) as session:
        found = rows.some(session, gone, **whose)
    withdrawn = withdraw(services, found, **whose)
    with writing(services) as session:
        labelling.hold(session, row)
        needless = [
            key for one in rows.some(session, gone, **whose) for key in rows.remove(session, one)
        ]
    erasure.delete(services.storage, needless)
    return withdrawn
