"""Embed work of priority 0: the chunks that make a version ready, or that a job waits for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, cast

from sqlalchemy import ColumnElement, Select, String, and_, or_, select
from sqlalchemy import cast as sql_cast
from sqlalchemy.orm import Session

from app.core.backbones import JOINT
from app.core.job_state import TERMINAL
from app.core.manifest import Modality
from app.core.modalities import PRIMARY
from app.infra.database import Clock
from app.infra.orm import DatasetVersionRow, JobRow, WorkRow
from app.infra.repositories import work


def ensure_embedded(
    session: Session, version: DatasetVersionRow, *, modality: str, backbone: str, chunk: int
) -> None:
    """Queue a version's examples for `backbone`, at most `chunk` at a time, if nobody has yet; of
    those that were, what was withdrawn or has failed since, from where it was left.

    Two callers at once may both queue them; the second pass finds everything cached.
    """
    if backbone == version.backbone:
        return
    asked = _asked_for(session, version, backbone)
    if any(row.state in ("queued", "running", "done") for row in asked):
        for row in asked:
            if row.state in ("cancelled", "failed"):
                _add(session, version, backbone, row.payload)
        return
    excluded = sum(1 for problem in version.problems if problem["excluded"])
    queue(
        session,
        version,
        modality=modality,
        backbone=backbone,
        entries=version.num_examples + excluded,
        chunk=chunk,
    )


def waits_for(version: type[DatasetVersionRow]) -> Select[Any]:
    """Why a chunk that makes a version ready is put off, where one is, of an outer query's row."""
    of = WorkRow
    put_off = select(of.error).where(
        of.version_id == version.id,
        of.backbone == version.backbone,
        of.kind == "embed",
        of.priority == 0,
        is_put_off(),
        version.status == "processing",
    )
    return put_off.order_by(of.id).limit(1).correlate(version)


def is_put_off() -> ColumnElement[bool]:
    """That work waits for its next try, with an error that says why.

    Once that is due, what was away may be back, and it is its turn that is waited for. What has
    never been put off, and what another try has cleared, is null in SQL or in JSON.
    """
    of = WorkRow
    told = sql_cast(of.error, String) != "null"
    return and_(of.state == "queued", of.not_before > Clock(), told)


def queue(
    session: Session,
    version: DatasetVersionRow,
    *,
    modality: str,
    backbone: str,
    entries: int,
    chunk: int,
) -> None:
    """Embed work for `entries` lines of a manifest, in equal shares of at most `chunk`."""
    count = max(1, math.ceil(entries / chunk))
    edges = [entries * part // count for part in range(count + 1)]
    for start, stop in pairwise(edges if entries else ()):
        view = PRIMARY[cast(Modality, modality)]
        _add(session, version, backbone, {"view": view, "start": start, "stop": stop})


def _add(
    session: Session, version: DatasetVersionRow, backbone: str, payload: Mapping[str, Any]
) -> None:
    work.add(
        session,
        "embed",
        organisation_id=version.organisation_id,
        version_id=version.id,
        backbone=backbone,
        payload=dict(payload),
    )


def _asked_for(session: Session, version: DatasetVersionRow, backbone: str) -> list[WorkRow]:
    """The last work for each of the chunks, which are told apart by their ends: their starts move
    on as they are embedded.
    """
    asked = select(WorkRow).where(
        WorkRow.kind == "embed",
        WorkRow.version_id == version.id,
        WorkRow.backbone == backbone,
        WorkRow.priority == 0,
    )
    rows = session.scalars(asked.order_by(WorkRow.created_at, WorkRow.id))
    return list({row.payload["stop"]: row for row in rows}.values())


def withdraw(session: Session, job: JobRow) -> None:
    """End the embedding that waits, or runs, for this job alone, whoever has claimed it.

    What makes a version ready goes on, as does what is done in idle time. It comes before the
    job's own work and row are locked: who embeds holds a chunk, and then tells the jobs that wait.
    Of two jobs that end at once the second waits here, and sees that the first needs nothing more.
    """
    read = [one for one in (job.version_id, job.validation_version_id) if one is not None]
    own = select(DatasetVersionRow.backbone).where(DatasetVersionRow.id.in_(read))
    named = set(job.backbone.split(JOINT)).difference(session.scalars(own))
    work.lock_chunks(session, version_ids=read, backbones=named)
    reads_too = or_(JobRow.version_id.in_(read), JobRow.validation_version_id.in_(read))
    others = select(JobRow.backbone).where(
        JobRow.id != job.id, JobRow.status.not_in(TERMINAL), reads_too
    )
    needed = {name for several in session.scalars(others) for name in several.split(JOINT)}
    work.end(
        session,
        WorkRow.kind == "embed",
        WorkRow.version_id.in_(read),
        WorkRow.backbone.in_(named - needed),
        WorkRow.priority == 0,
    )
