"""Embed work of priority 0: the chunks that make a version ready, or that a job waits for."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.core.backbones import JOINT
from app.core.job_state import TERMINAL
from app.core.manifest import Modality
from app.core.modalities import PRIMARY
from app.infra.orm import DatasetVersionRow, JobRow, WorkRow
from app.infra.repositories import work


def ensure_embedded(
    session: Session, version: DatasetVersionRow, *, modality: str, backbone: str, chunk: int
) -> None:
    """Queue a version's examples for `backbone`, at most `chunk` at a time, if nobody has yet.

    Two callers at once may both queue them; the second pass finds everything cached.
    """
    if backbone == version.backbone or _is_asked_for(session, version, backbone):
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
        work.add(
            session,
            "embed",
            organisation_id=version.organisation_id,
            version_id=version.id,
            backbone=backbone,
            payload={"view": PRIMARY[cast(Modality, modality)], "start": start, "stop": stop},
        )


def _is_asked_for(session: Session, version: DatasetVersionRow, backbone: str) -> bool:
    asked = select(WorkRow.id).where(
        WorkRow.kind == "embed",
        WorkRow.version_id == version.id,
        WorkRow.backbone == backbone,
        WorkRow.priority == 0,
        WorkRow.state.in_(["queued", "running", "done"]),
    )
    return session.scalars(asked.limit(1)).first() is not None


def withdraw(session: Session, job: JobRow) -> None:
    """End the embedding that waits, or runs, for this job alone, whoever has claimed it.

    What makes a version ready goes on, as does what is done in idle time. Before the job's row is
    locked: work comes first.
    """
    read = [one for one in (job.version_id, job.validation_version_id) if one is not None]
    reads_too = or_(JobRow.version_id.in_(read), JobRow.validation_version_id.in_(read))
    others = select(JobRow.backbone).where(
        JobRow.id != job.id, JobRow.status.not_in(TERMINAL), reads_too
    )
    needed = {name for several in session.scalars(others) for name in several.split(JOINT)}
    own = select(DatasetVersionRow.backbone).where(DatasetVersionRow.id.in_(read))
    work.end(
        session,
        WorkRow.kind == "embed",
        WorkRow.version_id.in_(read),
        WorkRow.backbone.in_(set(job.backbone.split(JOINT)) - needed),
        WorkRow.backbone.not_in(own),
        WorkRow.priority == 0,
    )
