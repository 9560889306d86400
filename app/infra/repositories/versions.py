"""Dataset versions: how one becomes ready or failed, and what becomes of the jobs waiting on it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from app.core import manifest
from app.core.errors import HeadstartError
from app.core.manifest import Example, Problem
from app.infra.database import now
from app.infra.orm import DatasetVersionRow, JobRow, WorkRow
from app.infra.repositories import batches, jobs, work
from app.infra.repositories.retraining import endings

_OUR_FAULTS = frozenset(
    {
        "storage_full",
        "dataset_corrupt",
        "worker_lost",
        "backbone_unavailable",
        "weights_invalid",
        "internal",
    }
)


def lock_version(session: Session, version_id: str) -> DatasetVersionRow:
    """The version's row, locked until the transaction ends. Raises not_found."""
    statement = select(DatasetVersionRow).where(DatasetVersionRow.id == version_id)
    row = session.execute(
        statement.with_for_update(), execution_options={"populate_existing": True}
    ).scalar()
    if row is None:
        raise HeadstartError("not_found", f"no dataset version {version_id}")
    return row


class VersionGoneError(Exception):
    """A version was deleted while it was read."""


def hold(session: Session, version_ids: Collection[str]) -> None:
    """Keep these versions from being deleted until the transaction ends.

    Raises VersionGoneError.
    """
    of = DatasetVersionRow
    there = select(of.id).where(of.id.in_(version_ids)).order_by(of.id).with_for_update(read=True)
    if set(version_ids).difference(session.scalars(there)):
        raise VersionGoneError


def problems_of(version: DatasetVersionRow) -> list[Problem]:
    """The version's problems as they were stored."""
    return [Problem.model_validate(problem) for problem in version.problems]


def problems_by_id(session: Session, version_id: str) -> list[Problem]:
    """The problems of a version that may be gone."""
    version = session.get(DatasetVersionRow, version_id)
    return problems_of(version) if version is not None else []


def seconds_an_example(session: Session, backbone: str) -> list[float]:
    """How long the latest versions took to become ready on a backbone, whoever's they are."""
    of = DatasetVersionRow
    took = (of.ready_at - of.created_at) / of.num_examples
    recent = select(took).where(
        of.backbone == backbone, of.status == "ready", of.ready_at.is_not(None), of.num_examples > 0
    )
    return [float(one or 0) for one in session.scalars(recent.order_by(of.id.desc()).limit(9))]


def add_problems(version: DatasetVersionRow, problems: Sequence[Problem]) -> None:
    """Append problems to a version whose row the caller holds."""
    version.problems = [*version.problems, *(problem.model_dump() for problem in problems)]


def is_last_chunk(session: Session, version: DatasetVersionRow, work_id: str) -> bool:
    """Whether no other chunk of the pass that makes a version ready is still to be done."""
    pending = select(WorkRow.id).where(
        WorkRow.kind == "embed",
        WorkRow.version_id == version.id,
        WorkRow.backbone == version.backbone,
        WorkRow.priority == 0,
        WorkRow.state.in_(["queued", "running"]),
        WorkRow.id != work_id,
    )
    return session.scalars(pending.limit(1)).first() is None


def finish_version(
    session: Session, version: DatasetVersionRow, examples: Sequence[Example]
) -> list[Example]:
    """Make a locked version ready with what its problems leave of `examples`, or fail it.

    Waiting jobs move on in the same transaction. Answers the usable examples ([] when failed).
    """
    left = manifest.usable(examples, problems_of(version))
    declared = version.declared or []
    version.classes = manifest.class_counts(left, declared)
    version.negatives = manifest.negatives(left)
    version.num_examples = len(left)
    fault = _fault(left, declared)
    if fault is not None:
        fail_version(session, version, fault)
        return []
    version.status, version.ready_at = "ready", now(session)
    endings.version_ended(session, version)
    settle_jobs(session, version.id)
    return left


def _fault(examples: Sequence[Example], declared: Sequence[str]) -> HeadstartError | None:
    if not examples and not declared:
        return HeadstartError("empty_dataset", "no example could be decoded")
    mode, labels = manifest.mode_of(examples), manifest.told_apart(examples) | set(declared)
    if len(labels) >= manifest.least_classes(mode):
        return None
    if mode == "multi_label":
        why = "no label is left that some examples have and others have not"
        return HeadstartError("insufficient_classes", why)
    return HeadstartError("insufficient_classes", f"only one class is left: {next(iter(labels))}")


def fail_version(session: Session, version: DatasetVersionRow, error: HeadstartError) -> None:
    """Fail a locked version, drop its remaining chunks and fail the jobs that wait on it."""
    version.status, version.error = "failed", error.stored()
    work.withdraw(session, version_id=version.id)
    endings.version_ended(session, version)
    settle_jobs(session, version.id)


def settle_jobs(session: Session, version_id: str) -> None:
    """Move the jobs and batches that wait for this version to where their versions now allow."""
    waiting = select(JobRow.id).where(_uses(version_id), JobRow.status == "validating_files")
    ids = list(session.scalars(waiting))
    work.lock_jobs(session, ids)
    for job_id in sorted(ids):
        job = jobs.lock_job(session, job_id)
        if job.status == "validating_files":
            settle_job(session, job)
    batches.settle(session, version_id)


def settle_job(session: Session, job: JobRow) -> None:
    """Move a locked job out of `validating_files` if its versions are ready, or one has failed."""
    wanted = [job.version_id, job.validation_version_id]
    statement = select(DatasetVersionRow).where(DatasetVersionRow.id.in_(wanted))
    versions = list(session.scalars(statement))
    failed = next((version for version in versions if version.status == "failed"), None)
    if failed is not None:
        work.withdraw(session, job_id=job.id, state="failed")
        jobs.advance_job(session, job, "failed", error=_consequence(failed))
    elif all(version.status == "ready" for version in versions):
        jobs.advance_job(session, job, "queued")


def _consequence(version: DatasetVersionRow) -> HeadstartError:
    """What a failed version means for a job: our own failures keep their code."""
    fault = version.error or {"code": "internal", "message": "it is not known why"}
    code = fault["code"] if fault["code"] in _OUR_FAULTS else "dataset_failed"
    return HeadstartError(code, f"the dataset has failed: {fault['message']}")


def _uses(version_id: str) -> ColumnElement[bool]:
    return or_(JobRow.version_id == version_id, JobRow.validation_version_id == version_id)
