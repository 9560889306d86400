"""Datasets and their versions: found only through their organisation, changed only under a lock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, String, delete, func, or_, select
from sqlalchemy import cast as sql_cast
from sqlalchemy.orm import Session, defer

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.job_state import TERMINAL
from app.core.manifest import LabelMode, Modality, Problem, windowed
from app.infra.database import now
from app.infra.orm import DatasetRow, DatasetVersionRow, EmbeddingRow, JobRow, SegmentRow, WorkRow
from app.infra.repositories import batches, chunks, embeddings, needs, problems, work

_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True)
class NewVersion:
    """What a version is made of; its packs and its manifest are in storage already."""

    manifest_sha256: str
    packs: Sequence[str]
    backbone: str
    entries: int
    """Lines of the manifest, excluded examples included."""
    num_examples: int
    classes: Sequence[dict[str, Any]]
    problems: Sequence[Problem]
    negatives: int = 0
    declared: Sequence[str] = ()
    """Classes whether they have examples or not."""


@dataclass(frozen=True)
class DatasetSnapshot:
    """A dataset and one of its versions."""

    dataset: DatasetRow
    version: DatasetVersionRow
    num_problems: int
    problems: Sequence[Problem] = ()
    """The first of them, where they are asked for."""
    put_off: dict[str, Any] | None = None
    """Why a chunk of its embedding was put off, with notes of the work's own."""

    @property
    def waits_for(self) -> dict[str, Any] | None:
        """What keeps its embedding waiting: `{code, message}`."""
        return self.put_off and {name: self.put_off[name] for name in ("code", "message")}


def create(
    session: Session,
    *,
    organisation_id: str,
    name: str,
    filename: str,
    modality: Modality,
    label_mode: LabelMode = "single_label",
    size: int,
    upload_sha256: str,
    expires_after: int | None = None,
    reading: Mapping[str, str] | None = None,
) -> DatasetRow:
    """A new dataset without a version; `size` is in bytes, `expires_after` in seconds."""
    created_at = now(session)
    row = DatasetRow(
        id=new_id("ds_"),
        organisation_id=organisation_id,
        name=name,
        filename=filename,
        modality=modality,
        label_mode=label_mode,
        bytes=size,
        upload_sha256=upload_sha256,
        latest_version=0,
        reading=dict(reading) if reading else None,
        created_at=created_at,
        expires_at=None if expires_after is None else created_at + expires_after,
    )
    session.add(row)
    session.flush()
    return row


def expired(session: Session) -> Sequence[tuple[str, str]]:
    """Id and organisation of the datasets whose time is over."""
    due = select(DatasetRow.id, DatasetRow.organisation_id).where(
        DatasetRow.expires_at < now(session)
    )
    return [(row.id, row.organisation_id) for row in session.execute(due)]


def add_version(
    session: Session, dataset: DatasetRow, new: NewVersion, *, chunk: int
) -> DatasetVersionRow:
    """The next version of a locked dataset, and the work that makes it ready."""
    dataset.latest_version += 1
    version = DatasetVersionRow(
        id=new_id("dsv_"),
        organisation_id=dataset.organisation_id,
        dataset_id=dataset.id,
        number=dataset.latest_version,
        manifest_sha256=new.manifest_sha256,
        packs=list(new.packs),
        backbone=new.backbone,
        num_examples=new.num_examples,
        classes=list(new.classes),
        negatives=new.negatives,
        declared=list(new.declared) or None,
        problems=[problem.model_dump() for problem in new.problems],
        status="processing",
        created_at=now(session),
    )
    session.add(version)
    session.flush()
    chunks.queue(
        session,
        version,
        modality=dataset.modality,
        backbone=version.backbone,
        entries=new.entries,
        chunk=chunk,
    )
    return version


def get(
    session: Session,
    dataset_id: str,
    *,
    organisation_id: str,
    number: int | None = None,
    shown: int = 0,
) -> DatasetSnapshot:
    """The dataset and its version `number`, or its latest, with the first `shown` problems.

    Raises not_found.
    """
    row = session.execute(_one(dataset_id, organisation_id, number)).one_or_none()
    if row is None:
        raise missing()
    told = problems.some(session, row[1].id, limit=shown) if shown and row[2] else []
    return _snapshot(row, [problem for _, problem in told])


def pin(
    session: Session, dataset_id: str, *, organisation_id: str, number: int | None = None
) -> DatasetSnapshot:
    """The dataset at its version `number`, or its latest, which cannot go before the commit.

    For whoever is about to make something that needs the version. Raises not_found.
    """
    statement = _one(dataset_id, organisation_id, number)
    row = session.execute(statement.with_for_update(read=True, of=DatasetVersionRow)).one_or_none()
    if row is None:
        raise missing()
    return _snapshot(row)


def _one(dataset_id: str, organisation_id: str, number: int | None) -> Select[Any]:
    wanted = DatasetRow.latest_version if number is None else number
    return _brief(organisation_id).where(
        DatasetRow.id == dataset_id, DatasetVersionRow.number == wanted
    )


def listing(
    session: Session, *, organisation_id: str, after: str | None, limit: int, ascending: bool
) -> list[DatasetSnapshot]:
    """At most `limit` datasets at their latest versions, without the versions' problems."""
    statement = _brief(organisation_id).where(DatasetVersionRow.number == DatasetRow.latest_version)
    column = DatasetRow.id
    if after is not None:
        statement = statement.where(column > after if ascending else column < after)
    statement = statement.order_by(column if ascending else column.desc()).limit(limit)
    return [_snapshot(row) for row in session.execute(statement)]


def versions(
    session: Session, dataset_id: str, *, organisation_id: str, after: str | None, limit: int
) -> list[DatasetSnapshot]:
    """At most `limit` versions older than the one called `after`, newest first, no problems."""
    statement = _brief(organisation_id).where(DatasetRow.id == dataset_id)
    if after is not None:
        number = select(DatasetVersionRow.number).where(
            DatasetVersionRow.id == after, DatasetVersionRow.dataset_id == dataset_id
        )
        statement = statement.where(DatasetVersionRow.number < number.scalar_subquery())
    statement = statement.order_by(DatasetVersionRow.number.desc()).limit(limit)
    return [_snapshot(row) for row in session.execute(statement)]


def _versions(organisation_id: str) -> Select[DatasetRow, DatasetVersionRow]:
    return (
        select(DatasetRow, DatasetVersionRow)
        .join(DatasetVersionRow, DatasetVersionRow.dataset_id == DatasetRow.id)
        .where(DatasetRow.organisation_id == organisation_id)
    )


def _brief(organisation_id: str) -> Select[Any]:
    of = DatasetVersionRow
    count = func.json_array_length(of.problems)
    waits = chunks.waits_for(of).scalar_subquery()
    return _versions(organisation_id).add_columns(count, waits).options(defer(of.problems))


def _snapshot(row: Sequence[Any], problems: Sequence[Problem] = ()) -> DatasetSnapshot:
    return DatasetSnapshot(row[0], row[1], row[2], problems, row[3])


def lock(session: Session, dataset_id: str, *, organisation_id: str) -> DatasetRow:
    """The dataset's row, locked until the transaction ends. Raises not_found.

    Its versions may be written to meanwhile, which Postgres looks it up for: who does so holds what
    others wait for that have this lock.
    """
    statement = select(DatasetRow).where(
        DatasetRow.id == dataset_id, DatasetRow.organisation_id == organisation_id
    )
    row = session.execute(
        statement.with_for_update(key_share=True), execution_options={"populate_existing": True}
    ).scalar_one_or_none()
    if row is None:
        raise missing()
    return row


@dataclass(frozen=True)
class Removed:
    """What a deleted dataset leaves behind in storage."""

    manifests: frozenset[str]
    packs: frozenset[str]


def remove(session: Session, dataset_id: str, *, organisation_id: str) -> Removed:
    """Forget a dataset and all its versions. Raises not_found, or in_use while a job or an enabled
    hook needs it.

    Versions are locked before jobs and hooks are looked for: `pin` makes a new one wait, or this
    wait for it.
    """
    dataset = lock(session, dataset_id, organisation_id=organisation_id)
    version = DatasetVersionRow
    versions = select(version.id, version.manifest_sha256, version.packs).order_by(version.id)
    versions = versions.where(version.dataset_id == dataset_id)
    for row in session.execute(versions):
        work.lock_version(session, row.id)
    rows = session.execute(versions.with_for_update()).all()
    ids = [row.id for row in rows]
    refuse_if_used(session, ids)
    needs.refuse_if_named(session, dataset_id, organisation_id=organisation_id)
    removed = Removed(
        frozenset(row.manifest_sha256 for row in rows),
        frozenset(pack for row in rows for pack in row.packs),
    )
    session.execute(delete(WorkRow).where(WorkRow.version_id.in_(ids)))
    session.delete(dataset)
    session.flush()
    return removed


def refuse_if_used(session: Session, version_ids: Sequence[str]) -> None:
    """Raise in_use while a job or a batch that has not ended needs one of these versions."""
    job = session.scalars(
        select(JobRow.id).where(
            or_(JobRow.version_id.in_(version_ids), JobRow.validation_version_id.in_(version_ids)),
            JobRow.status.not_in(TERMINAL),
        )
    ).first()
    if job is not None:
        raise HeadstartError("in_use", f"the job {job} has not ended and uses this dataset")
    batches.refuse_if_used(session, version_ids=version_ids)


def manifests(session: Session, *, organisation_id: str) -> set[str]:
    """The manifests of an organisation's versions."""
    statement = select(DatasetVersionRow.manifest_sha256).where(
        DatasetVersionRow.organisation_id == organisation_id
    )
    return set(session.scalars(statement.distinct()))


def is_referenced(session: Session, kind: str, sha256: str, *, organisation_id: str) -> bool:
    """Whether a version or a batch of the organisation has this pack or manifest (`kind`)."""
    packs = sql_cast(DatasetVersionRow.packs, String)
    wanted = {
        "packs": packs.contains(sha256, autoescape=True),
        "manifests": DatasetVersionRow.manifest_sha256 == sha256,
    }[kind]
    sharing = select(DatasetVersionRow.id).where(
        DatasetVersionRow.organisation_id == organisation_id, wanted
    )
    if session.scalars(sharing.limit(1)).first() is not None:
        return True
    return batches.is_referenced(session, kind, sha256, organisation_id=organisation_id)


def forget_embeddings(
    session: Session, sha256s: Iterable[str], *, organisation_id: str
) -> tuple[int, list[SegmentRow]]:
    """Drop the organisation's embeddings of these contents; how many, and the segments left empty.

    A segment that others still use is worn from now on: a trainer rewrites it without these rows.
    """
    touched: Counter[str] = Counter()
    contents = set(sha256s)
    wanted = sorted(contents | set(map(windowed, contents)))
    caches = select(SegmentRow.key).where(SegmentRow.organisation_id == organisation_id).distinct()
    for key in session.scalars(caches).all():  # each by the whole primary key
        for start in range(0, len(wanted), _AT_ONCE):
            dropped = (
                delete(EmbeddingRow)
                .where(
                    EmbeddingRow.organisation_id == organisation_id,
                    EmbeddingRow.key == key,
                    EmbeddingRow.sha256.in_(wanted[start : start + _AT_ONCE]),
                )
                .returning(EmbeddingRow.segment_id)
            )
            touched.update(session.scalars(dropped))
    empty = _drop_empty(session, sorted(touched))
    embeddings.wear(session, touched.keys() - {segment.id for segment in empty})
    return touched.total(), empty


def _drop_empty(session: Session, segment_ids: Sequence[str]) -> list[SegmentRow]:
    empty: list[SegmentRow] = []
    for start in range(0, len(segment_ids), _AT_ONCE):
        some = segment_ids[start : start + _AT_ONCE]
        used = select(EmbeddingRow.segment_id).where(EmbeddingRow.segment_id.in_(some))
        empty += session.scalars(
            select(SegmentRow).where(SegmentRow.id.in_(some), SegmentRow.id.not_in(used))
        )
    for segment in empty:
        session.delete(segment)
    session.flush()
    return empty


def missing() -> HeadstartError:
    """The same answer for a dataset that never was and for somebody else's."""
    return HeadstartError("not_found", "there is no such dataset")
