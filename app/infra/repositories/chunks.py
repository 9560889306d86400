"""Embed work of priority 0: the chunks that make a version ready, or that a job waits for."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.manifest import Modality
from app.core.modalities import PRIMARY
from app.infra.orm import DatasetVersionRow, WorkRow
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
