"""Batches of predictions: their rows, their chunks of work, and where their results lie.

Locks are taken in the order work, then batch, so that a cancel, a failure and the ends of several
chunks queue up instead of deadlocking.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

from sqlalchemy import ColumnElement, SQLColumnExpression, String, func, select
from sqlalchemy import cast as sql_cast
from sqlalchemy.orm import Session

from app.core import agreement, job_state
from app.core.agreement import Tally
from app.core.batch import Smoothing
from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.job_state import TERMINAL, JobStatus
from app.core.manifest import Problem
from app.infra.database import now
from app.infra.orm import BatchPartRow, BatchRow, DatasetVersionRow, ModelRow, WorkRow
from app.infra.repositories import chunks, usage, work

PREFIX = "batch_"
PRIORITY = 5
"""Bulk: it makes way for what somebody waits for."""


@dataclass(frozen=True, kw_only=True)
class PlannedBatch:
    """What a batch is about; its manifest and packs are in storage already."""

    model_id: str
    manifest_sha256: str
    packs: Sequence[str]
    total: int
    options: dict[str, Any]
    dataset_id: str | None = None
    version_id: str | None = None
    version: int | None = None
    filename: str | None = None
    problems: Sequence[Problem] = ()


@dataclass(frozen=True, kw_only=True)
class ChunkOutcome:
    """What one chunk adds to its batch: its result file, counts, and what is to be known of it."""

    start: int
    key: str
    bytes: int
    sha256: str
    done: int
    failed: int
    tally: Tally
    problem: Problem | None = None
    smoothing: Smoothing | None = None


def pin_model(session: Session, model_id: str, *, organisation_id: str) -> ModelRow:
    """A model that cannot be deleted before the transaction ends. Raises not_found."""
    statement = select(ModelRow).where(
        ModelRow.id == model_id, ModelRow.organisation_id == organisation_id
    )
    row = session.scalars(statement.with_for_update(read=True)).one_or_none()
    if row is None:
        raise HeadstartError("not_found", "there is no such model", param="model")
    return row


def create(session: Session, new: PlannedBatch, *, organisation_id: str, chunk: int) -> BatchRow:
    """A batch and its work, at most `chunk` inputs at a time. Raises not_found."""
    model = pin_model(session, new.model_id, organisation_id=organisation_id)
    row = BatchRow(
        id=new_id(PREFIX),
        organisation_id=organisation_id,
        status="validating_files",
        model_id=model.id,
        backbone=model.backbone,
        modality=model.modality,
        artifact=model.artifact,
        sha256=model.sha256,
        dataset_id=new.dataset_id,
        version_id=new.version_id,
        version=new.version,
        filename=new.filename,
        manifest_sha256=new.manifest_sha256,
        packs=list(new.packs),
        options=new.options,
        total=new.total,
        tally={},
        problems=[problem.model_dump() for problem in new.problems],
        created_at=now(session),
    )
    session.add(row)
    session.flush()
    _queue(session, row, chunk)
    settle_batch(session, row)
    session.flush()
    return row


def _queue(session: Session, row: BatchRow, chunk: int) -> None:
    count = math.ceil(row.total / chunk)
    for start, stop in pairwise(row.total * part // count for part in range(count + 1)):
        add_chunk(session, row, start, stop)


def add_chunk(session: Session, row: BatchRow, start: int, stop: int) -> None:
    """Work for the inputs `start` to `stop` of a batch whose row the caller holds."""
    work.add(
        session,
        "batch",
        organisation_id=row.organisation_id,
        priority=PRIORITY,
        batch_id=row.id,
        backbone=row.backbone,
        payload={"start": start, "stop": stop},
    )


def get(session: Session, batch_id: str, *, organisation_id: str) -> BatchRow:
    """One batch as it is now. Raises not_found."""
    statement = select(BatchRow).where(
        BatchRow.id == batch_id, BatchRow.organisation_id == organisation_id
    )
    row = session.execute(statement, execution_options={"populate_existing": True}).scalar()
    if row is None:
        raise missing()
    return row


def listing(
    session: Session, *, organisation_id: str, after: str | None, limit: int
) -> list[BatchRow]:
    """At most `limit` batches, newest first, those older than `after`."""
    statement = select(BatchRow).where(BatchRow.organisation_id == organisation_id)
    if after is not None:
        statement = statement.where(BatchRow.id < after)
    return list(session.scalars(statement.order_by(BatchRow.id.desc()).limit(limit)))


def waits(
    session: Session, rows: Sequence[BatchRow], *, organisation_id: str
) -> dict[str, dict[str, Any]]:
    """What keeps each of the batches waiting, if anything does: `{code, message}` by id.

    It is what a chunk of its own is put off for, or one of the dataset that is awaited.
    """
    open_ids = [row.id for row in rows if row.status not in TERMINAL]
    awaited = {row.id: row.version_id for row in rows if row.status == "validating_files"}
    of = DatasetVersionRow
    reasons = select(of.id, chunks.waits_for(of).scalar_subquery()).where(
        of.organisation_id == organisation_id, of.id.in_(awaited.values())
    )
    why: dict[str, dict[str, Any]] = {}
    if awaited:
        why = {version: told(error) for version, error in session.execute(reasons) if error}
    versions = {one: why[version] for one, version in awaited.items() if version in why}
    own = put_off(session, WorkRow.batch_id, open_ids, organisation_id=organisation_id)
    return versions | own


def put_off(
    session: Session, owner: SQLColumnExpression[Any], ids: Sequence[str], *, organisation_id: str
) -> dict[str, dict[str, Any]]:
    """Why work of these owners is put off: of each the first's."""
    if not ids:
        return {}
    first = (
        select(func.min(WorkRow.id))
        .where(
            WorkRow.organisation_id == organisation_id,
            chunks.is_put_off(),
            owner.in_(ids),
        )
        .group_by(owner)
    )
    found = session.execute(select(owner, WorkRow.error).where(WorkRow.id.in_(first)))
    return {owned: told(error) for owned, error in found}


def told(error: Mapping[str, Any]) -> dict[str, Any]:
    """A work's error without notes of the work's own."""
    return {name: error[name] for name in ("code", "message")}


def parts(session: Session, batch_id: str) -> list[BatchPartRow]:
    """The result files there are, in the order of the inputs."""
    statement = select(BatchPartRow).where(BatchPartRow.batch_id == batch_id)
    return list(session.scalars(statement.order_by(BatchPartRow.start)))


def lock_batch(session: Session, batch_id: str) -> BatchRow:
    """The batch's row, locked until the transaction ends. Raises not_found."""
    statement = select(BatchRow).where(BatchRow.id == batch_id).with_for_update()
    row = session.execute(statement, execution_options={"populate_existing": True}).scalar()
    if row is None:
        raise missing()
    return row


def advance(
    session: Session, row: BatchRow, to: JobStatus, *, error: HeadstartError | None = None
) -> None:
    """Move a locked batch. Raises invalid_transition."""
    row.status = job_state.advance(cast(JobStatus, row.status), to, what="batch")
    if to == "running":
        row.started_at = row.started_at or now(session)
    if to in TERMINAL:
        row.finished_at = now(session)
    if error is not None:
        row.error = error.stored()


def settle(session: Session, version_id: str) -> None:
    """Move the batches that wait for a version to where it now allows."""
    waiting = select(BatchRow.id).where(
        BatchRow.version_id == version_id, BatchRow.status == "validating_files"
    )
    ids = sorted(session.scalars(waiting))
    work.lock_batches(session, ids)
    for batch_id in ids:
        row = lock_batch(session, batch_id)
        if row.status == "validating_files":
            settle_batch(session, row)


def settle_batch(session: Session, row: BatchRow) -> None:
    """Move a locked batch out of `validating_files` unless its version is still processing."""
    status = "ready"
    if row.version_id is not None:
        version = select(DatasetVersionRow.status).where(DatasetVersionRow.id == row.version_id)
        status = session.scalars(version).one_or_none() or "failed"
    if status == "ready":
        advance(session, row, "queued")
    elif status == "failed":
        fail(session, row, HeadstartError("dataset_failed", "the dataset has failed"))


def finish_chunk(session: Session, claim: work.Claim, outcome: ChunkOutcome) -> None:
    """Everything a chunk changes; the last one ends the batch. Raises LostClaimError."""
    work.finish(session, claim)
    row = lock_batch(session, str(claim.batch_id))
    session.add(
        BatchPartRow(
            batch_id=row.id,
            start=outcome.start,
            key=outcome.key,
            bytes=outcome.bytes,
            sha256=outcome.sha256,
        )
    )
    row.done += outcome.done
    usage.add(session, {(row.organisation_id, "predictions", row.model_id): outcome.done})
    row.failed += outcome.failed
    row.tally = agreement.merged(row.tally, outcome.tally)
    told = outcome.problem.model_dump() if outcome.problem is not None else None
    if told is not None and told not in row.problems:
        row.problems = [*row.problems, told]
    if outcome.smoothing is not None:
        before = Smoothing.model_validate(row.smoothing or {})
        row.smoothing = before.plus(outcome.smoothing).model_dump()
    if not _pending(session, row.id):
        row.evaluation = agreement.evaluate(row.tally) or None
        advance(session, row, "succeeded")


def _pending(session: Session, batch_id: str) -> bool:
    left = select(WorkRow.id).where(
        WorkRow.batch_id == batch_id, WorkRow.state.in_(["queued", "running"])
    )
    return session.scalars(left.limit(1)).first() is not None


def fail(session: Session, row: BatchRow, error: HeadstartError) -> None:
    """Fail a batch whose work and row the caller holds; what is still to be done is dropped."""
    work.withdraw(session, batch_id=row.id, state="failed")
    advance(session, row, "failed", error=error)


def cancel(session: Session, batch_id: str) -> None:
    """Cancel for good: whoever works on it loses its claim in the same transaction.

    Raises not_found, or invalid_transition where the batch has already ended.
    """
    work.lock_batches(session, [batch_id])
    row = lock_batch(session, batch_id)
    advance(session, row, "cancelled")
    work.withdraw(session, batch_id=batch_id)


def remove(session: Session, batch_id: str, *, organisation_id: str) -> BatchRow:
    """Forget a batch that has ended; answers what it was. Raises not_found or in_use."""
    get(session, batch_id, organisation_id=organisation_id)
    work.lock_batches(session, [batch_id])
    row = lock_batch(session, batch_id)
    if row.status not in TERMINAL:
        raise HeadstartError("in_use", f"the batch is {row.status}: cancel it first")
    session.delete(row)
    session.flush()
    return row


def refuse_if_used(
    session: Session, *, version_ids: Sequence[str] = (), model_id: str | None = None
) -> None:
    """Raise in_use while a batch that has not ended needs one of these versions, or the model."""
    about: ColumnElement[bool] = BatchRow.version_id.in_(version_ids)
    if model_id is not None:
        about = BatchRow.model_id == model_id
    open_batches = select(BatchRow.id).where(about, BatchRow.status.not_in(TERMINAL))
    batch = session.scalars(open_batches.limit(1)).first()
    if batch is not None:
        raise HeadstartError("in_use", f"the batch {batch} has not ended and needs this")


def is_referenced(session: Session, kind: str, sha256: str, *, organisation_id: str) -> bool:
    """Whether a batch will still read this pack (`packs`) or manifest (`manifests`).

    The manifest of what it has uploaded itself also says what to forget when it is deleted.
    """
    reads = BatchRow.status.not_in(TERMINAL)
    wanted = {
        "packs": sql_cast(BatchRow.packs, String).contains(sha256, autoescape=True) & reads,
        "manifests": (BatchRow.manifest_sha256 == sha256) & (reads | BatchRow.dataset_id.is_(None)),
    }[kind]
    naming = select(BatchRow.id).where(BatchRow.organisation_id == organisation_id, wanted)
    return session.scalars(naming.limit(1)).first() is not None


def own_manifests(session: Session, *, organisation_id: str) -> set[str]:
    """The manifests of what the organisation's batches have uploaded themselves."""
    statement = select(BatchRow.manifest_sha256).where(
        BatchRow.organisation_id == organisation_id, BatchRow.dataset_id.is_(None)
    )
    return set(session.scalars(statement.distinct()))


def missing() -> HeadstartError:
    """The same answer for a batch that never was and for somebody else's."""
    return HeadstartError("not_found", "there is no such batch", param="batch")
