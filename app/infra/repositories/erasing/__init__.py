"""Examples erased from every version of a dataset: their receipts, and what they are held against.

Locks are taken as a dataset's deletion takes them: the dataset, its work, its versions, models.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.hyperparameters import METHODS
from app.core.job_state import TERMINAL
from app.infra.database import now
from app.infra.orm import (
    BatchPartRow,
    BatchRow,
    DatasetVersionRow,
    ExampleErasureRow,
    JobRow,
    ModelRow,
    WorkRow,
)
from app.infra.repositories import datasets, work

PREFIX = "era_"
_OPEN = ("queued", "running")


def get(
    session: Session, erasure_id: str, *, dataset_id: str, organisation_id: str
) -> ExampleErasureRow:
    """One erasure of a dataset. Raises not_found."""
    row = session.get(ExampleErasureRow, erasure_id)
    mine = row is not None and row.organisation_id == organisation_id
    if row is None or not mine or row.dataset_id != dataset_id:
        raise HeadstartError("not_found", "there is no such erasure", param="erasure_id")
    return row


def listing(
    session: Session, dataset_id: str, *, organisation_id: str, after: str | None, limit: int
) -> list[ExampleErasureRow]:
    """At most `limit` erasures of a dataset, newest first, those before `after` alone."""
    of = ExampleErasureRow
    mine = select(of).where(of.organisation_id == organisation_id, of.dataset_id == dataset_id)
    if after is not None:
        mine = mine.where(of.id < after)
    return list(session.scalars(mine.order_by(of.id.desc()).limit(limit)))


def marks(session: Session, dataset_id: str, *, organisation_id: str) -> set[str]:
    """The marks of all that was erased from a dataset."""
    of = ExampleErasureRow
    mine = select(of.marks).where(
        of.organisation_id == organisation_id, of.dataset_id == dataset_id
    )
    return {mark for some in session.scalars(mine) for mark in some}


def marks_since(session: Session, at: float, *, organisation_id: str) -> dict[str, set[str]]:
    """The marks of what was erased from then on, by dataset."""
    of = ExampleErasureRow
    wanted = select(of.dataset_id, of.marks).where(
        of.organisation_id == organisation_id, of.created_at >= at
    )
    found: dict[str, set[str]] = {}
    for dataset_id, some in session.execute(wanted):
        found.setdefault(dataset_id, set()).update(some)
    return found


def versions(
    session: Session, dataset_id: str, *, organisation_id: str, lock: bool = False
) -> list[DatasetVersionRow]:
    """All versions of a dataset, the first one first; locked until the transaction ends."""
    of = DatasetVersionRow
    mine = select(of).where(of.organisation_id == organisation_id, of.dataset_id == dataset_id)
    if not lock:
        return list(session.scalars(mine.order_by(of.number)))
    for version_id in session.scalars(
        select(of.id)
        .where(of.organisation_id == organisation_id, of.dataset_id == dataset_id)
        .order_by(of.id)
    ).all():
        work.lock_version(session, version_id)
    fresh = {"populate_existing": True}
    locked = mine.order_by(of.id).with_for_update()
    rows = session.scalars(locked, execution_options=fresh).all()
    return sorted(rows, key=lambda row: row.number)


def is_making(session: Session, dataset_id: str, *, organisation_id: str) -> bool:
    """Whether a version of the dataset is in the making."""
    of = DatasetVersionRow
    making = select(of.id).where(
        of.organisation_id == organisation_id,
        of.dataset_id == dataset_id,
        of.status == "processing",
    )
    return session.scalars(making.limit(1)).first() is not None


def refuse_if_used(
    session: Session, found: Sequence[DatasetVersionRow], *, organisation_id: str
) -> None:
    """Raise in_use while something reads these versions that could write down what it has read:
    a version in the making, a job or a batch on one, a promotion, a job that learns from all.
    """
    making = next((row for row in found if row.status == "processing"), None)
    if making is not None:
        why = f"version {making.number} is still processing: wait until it is ready"
        raise HeadstartError("in_use", why)
    datasets.refuse_if_used(session, [row.id for row in found])
    promoting = select(WorkRow.id).where(
        WorkRow.organisation_id == organisation_id,
        WorkRow.kind == "promote",
        WorkRow.state.in_(_OPEN),
    )
    if session.scalars(promoting.limit(1)).first() is not None:
        raise HeadstartError("in_use", "a promotion compares models: wait until it is decided")
    learning = select(JobRow.id).where(
        JobRow.organisation_id == organisation_id,
        JobRow.method.in_([name for name, spec in METHODS.items() if spec.other_datasets]),
        JobRow.status.not_in(TERMINAL),
    )
    job = session.scalars(learning.limit(1)).first()
    if job is not None:
        raise HeadstartError("in_use", f"the job {job} learns from all datasets, and has not ended")


def models_of(
    session: Session, version_ids: Sequence[str], *, organisation_id: str
) -> list[tuple[ModelRow, str | None, str | None]]:
    """The models that may have learned from these versions, or were judged on them, with the
    versions that they were made of and judged on; those that learn from other datasets, all.
    """
    others = [name for name, spec in METHODS.items() if spec.other_datasets]
    wanted = (
        select(ModelRow, ModelRow.version_id, JobRow.validation_version_id)
        .outerjoin(JobRow, JobRow.id == ModelRow.job_id)
        .where(
            ModelRow.organisation_id == organisation_id,
            or_(
                ModelRow.version_id.in_(version_ids),
                JobRow.validation_version_id.in_(version_ids),
                ModelRow.method.in_(others),
            ),
        )
        .order_by(ModelRow.id)
    )
    return [(row[0], row[1], row[2]) for row in session.execute(wanted)]


def lock_models(
    session: Session, ids: Sequence[str], *, organisation_id: str
) -> dict[str, ModelRow]:
    """Those of the models that are there, locked until the transaction ends."""
    of = ModelRow
    wanted = select(of).where(of.organisation_id == organisation_id, of.id.in_(ids))
    fresh = {"populate_existing": True}
    rows = session.scalars(wanted.order_by(of.id).with_for_update(), execution_options=fresh)
    return {row.id: row for row in rows}


def parts_over(
    session: Session, version_ids: Sequence[str], *, organisation_id: str
) -> list[tuple[str, BatchPartRow]]:
    """The files of results of batches over these versions, with their batches."""
    wanted = (
        select(BatchRow.id, BatchPartRow)
        .join(BatchPartRow, BatchPartRow.batch_id == BatchRow.id)
        .where(BatchRow.organisation_id == organisation_id, BatchRow.version_id.in_(version_ids))
        .order_by(BatchRow.id, BatchPartRow.start)
    )
    return [(row[0], row[1]) for row in session.execute(wanted)]


def shift_embedding(session: Session, version: DatasetVersionRow, *, gone: int, left: int) -> None:
    """Have what is still to be embedded of a locked version begin anew on its shorter manifest,
    whoever has claimed it: a line may stand `gone` lines earlier now, of the `left` that there are.
    """
    wanted = select(WorkRow).where(
        WorkRow.version_id == version.id, WorkRow.kind == "embed", WorkRow.state.in_(_OPEN)
    )
    for row in session.scalars(wanted, execution_options={"populate_existing": True}).all():
        start = max(0, int(row.payload["start"]) - gone)
        stop = min(left, int(row.payload["stop"]))
        row.fence += 1
        row.claimed_by = row.lease_until = None
        row.state = "queued" if start < stop else "cancelled"
        if row.state == "cancelled":
            row.finished_at = now(session)
        row.payload = {**row.payload, "start": start, "stop": max(start, stop)}
        work.announce(session, row)


def other_manifests(
    session: Session, dataset_id: str, *, organisation_id: str
) -> list[tuple[str, str, str]]:
    """What else of the organisation lists contents: its kind, its id, a manifest."""
    of, batch = DatasetVersionRow, BatchRow
    listed = select(of.dataset_id, of.manifest_sha256).where(
        of.organisation_id == organisation_id, of.dataset_id != dataset_id
    )
    own = select(batch.id, batch.manifest_sha256).where(
        batch.organisation_id == organisation_id, batch.dataset_id.is_(None)
    )
    return [
        *(("dataset", *row) for row in session.execute(listed)),
        *(("batch_prediction", *row) for row in session.execute(own)),
    ]
