"""What a version that became ready leaves to be embedded while nobody waits: its further views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.core.backbones import BackboneSpec
from app.core.manifest import Example, Modality
from app.core.modalities import IDLE, IDLE_CHUNK, IDLE_MOST_EXAMPLES
from app.infra.database import now
from app.infra.orm import DatasetVersionRow, WorkRow
from app.infra.repositories import embeddings, picking, work
from worker.trainer.tensor_process import EngineFacts

_AFTER_SECONDS = 0.5
"""A job that follows right upon its upload should find the trainer idle."""


def add(
    session: Session,
    version: DatasetVersionRow,
    facts: EngineFacts,
    *,
    examples: Sequence[Example],
    usable: Sequence[Example],
    beside: Sequence[BackboneSpec] = (),
) -> None:
    """Queue the chunks of `examples` in which a view of a usable one is not cached yet, and all of
    them for the backbones `beside` the version's own: their chunks pass over what is cached.
    """
    if len(examples) > IDLE_MOST_EXAMPLES:
        return
    chunks = _chunks(examples)
    for spec in beside:
        for view in (spec.reads.primary, *IDLE[spec.modality]):
            for start, stop in chunks if view in spec.views else ():
                _queue(session, version, spec.name, view=view, start=start, stop=stop)
    contents = {example.sha256 for example in usable}
    for view in IDLE[cast(Modality, facts.modality)]:
        if view in facts.keys:
            known = embeddings.find(
                session,
                organisation_id=version.organisation_id,
                key=facts.key(view),
                sha256s=contents,
            )
            lacking = contents - known.keys()
            for start, stop in chunks:
                if any(example.sha256 in lacking for example in examples[start:stop]):
                    _queue(session, version, version.backbone, view=view, start=start, stop=stop)


def _chunks(examples: Sequence[Example]) -> list[tuple[int, int]]:
    starts = range(0, len(examples), IDLE_CHUNK)
    return [(start, min(len(examples), start + IDLE_CHUNK)) for start in starts]


def _queue(
    session: Session,
    version: DatasetVersionRow,
    backbone: str,
    *,
    view: str,
    start: int,
    stop: int,
) -> None:
    row = work.add(
        session,
        "embed",
        organisation_id=version.organisation_id,
        payload={"view": view, "start": start, "stop": stop},
        priority=picking.IDLE,
        version_id=version.id,
        backbone=backbone,
    )
    row.not_before = row.created_at + _AFTER_SECONDS


def withdraw_older(session: Session, version: DatasetVersionRow) -> None:
    """End what is queued for older versions of the dataset; what somebody works on is let be."""
    older = select(DatasetVersionRow.id).where(
        DatasetVersionRow.dataset_id == version.dataset_id,
        DatasetVersionRow.number < version.number,
    )
    queued = select(WorkRow.id).where(
        WorkRow.version_id.in_(older),
        WorkRow.state == "queued",
        WorkRow.priority == picking.IDLE,
    )
    ids = session.scalars(queued.with_for_update(skip_locked=True)).all()
    session.execute(
        update(WorkRow)
        .where(WorkRow.id.in_(ids))
        .values(state="cancelled", fence=WorkRow.fence + 1, finished_at=now(session))
        .execution_options(synchronize_session=False)
    )
