"""Deletions: what somebody has deleted, what of it is gone, and which files are still to go.

Files are noted in the transaction that ends their rows, and struck out once storage has forgotten
them: whatever is killed or away in between, they are found again, and counted once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, delete, exists, func, or_, select
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.infra.database import now
from app.infra.orm import (
    DeletedFileRow,
    DeletionRow,
    ErasureRow,
    LoggedPredictionRow,
    SegmentRow,
)

PREFIX = "del_"
ORGANISATION = "organization"
"""The object of a deletion of all that an organisation holds."""
MODEL = "model"
"""That of a model's: what was written down of it goes after the model, some at a time."""
_DAY = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Doomed:
    """What a deletion is of, how many rows of it have gone already, and which files are to go."""

    object: str
    id: str
    removed: Mapping[str, int] = field(default_factory=dict)
    files: Iterable[str] = ()


def begin(session: Session, doomed: Doomed, *, organisation_id: str, deletion_id: str = "") -> str:
    """Note a deletion in the transaction that ends its rows; its id, if files are noted for it."""
    row = DeletionRow(
        id=deletion_id or new_id(PREFIX),
        organisation_id=organisation_id,
        object=doomed.object,
        object_id=doomed.id,
        removed=dict(doomed.removed),
        kept={},
        created_at=now(session),
    )
    session.add(row)
    note_files(session, doomed.files, organisation_id=organisation_id, deletion_id=row.id)
    return row.id


def note_files(
    session: Session, keys: Iterable[str], *, organisation_id: str, deletion_id: str = ""
) -> None:
    """Note files, or folders by a `/` at their end, that rows cease to name."""
    at = now(session)
    session.add_all(
        DeletedFileRow(
            deletion_id=deletion_id, key=key, organisation_id=organisation_id, created_at=at
        )
        for key in sorted(set(keys))
    )
    session.flush()


def noted_files(session: Session, organisation_id: str) -> dict[str, list[str]]:
    """The keys of the organisation's files that are to go, by their deletions; folders last, so
    that what is in one and noted by itself too is counted once.
    """
    noted = select(DeletedFileRow.deletion_id, DeletedFileRow.key)
    mine = noted.where(DeletedFileRow.organisation_id == organisation_id)
    found: dict[str, list[str]] = defaultdict(list)
    for row in sorted(session.execute(mine), key=lambda row: row.key.endswith("/")):
        found[row.deletion_id].append(row.key)
    return found


def strike_out(
    session: Session, deletion_id: str, keys: Sequence[str], *, organisation_id: str
) -> int:
    """These are gone from storage; how many nobody else has struck out before."""
    gone = delete(DeletedFileRow).where(
        DeletedFileRow.organisation_id == organisation_id,
        DeletedFileRow.deletion_id == deletion_id,
        DeletedFileRow.key.in_(keys),
    )
    return len(session.scalars(gone.returning(DeletedFileRow.key)).all())


def count(
    session: Session,
    deletion_id: str,
    *,
    organisation_id: str,
    removed: Mapping[str, int] | None = None,
    kept: Mapping[str, int] | None = None,
    forgotten: bool = False,
) -> None:
    """Add to what a deletion has removed or left; `forgotten`: its embeddings have no index now."""
    row = _locked(session, deletion_id, organisation_id)
    if row is None:
        return
    row.removed = _added(row.removed, removed or {})
    row.kept = _added(row.kept, kept or {})
    if forgotten:
        row.forgotten_at = now(session)


def _locked(session: Session, deletion_id: str, organisation_id: str) -> DeletionRow | None:
    mine = select(DeletionRow).where(
        DeletionRow.id == deletion_id, DeletionRow.organisation_id == organisation_id
    )
    fresh = {"populate_existing": True}
    return session.execute(mine.with_for_update(), execution_options=fresh).scalar_one_or_none()


def _added(before: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    names = dict.fromkeys([*before, *more])
    return {name: before.get(name, 0) + more.get(name, 0) for name in names}


def get(session: Session, deletion_id: str, *, organisation_id: str) -> DeletionRow:
    """One deletion. Raises not_found."""
    row = session.get(DeletionRow, deletion_id)
    if row is None or row.organisation_id != organisation_id:
        raise HeadstartError("not_found", "there is no such deletion", param="deletion_id")
    return row


def listing(
    session: Session, *, organisation_id: str, after: str | None, limit: int
) -> list[DeletionRow]:
    """At most `limit` deletions, newest first, those before `after` alone."""
    mine = select(DeletionRow).where(DeletionRow.organisation_id == organisation_id)
    if after is not None:
        mine = mine.where(DeletionRow.id < after)
    return list(session.scalars(mine.order_by(DeletionRow.id.desc()).limit(limit)))


def remaining(session: Session, row: DeletionRow) -> dict[str, int]:
    """What is still to go: files, lists of contents to be forgotten, segments to be rewritten."""
    files = select(func.count()).where(
        DeletedFileRow.organisation_id == row.organisation_id, DeletedFileRow.deletion_id == row.id
    )
    lists = select(func.count()).where(ErasureRow.deletion_id == row.id)
    segments = select(func.count()).where(
        SegmentRow.organisation_id == row.organisation_id,
        SegmentRow.worn_at <= (row.forgotten_at or 0.0),
    )
    logged = select(func.count()).where(
        LoggedPredictionRow.organisation_id == row.organisation_id,
        LoggedPredictionRow.model_id == (row.object_id if row.object == MODEL else ""),
    )
    asked = {"files": files, "manifests": lists, "segments": segments, "logged_predictions": logged}
    return {name: session.scalar(query) or 0 for name, query in asked.items()}


def settle(session: Session) -> int:
    """Finish the deletions of which nothing is left, of all organisations; how many."""
    left = or_(
        exists().where(DeletedFileRow.deletion_id == DeletionRow.id),
        exists().where(ErasureRow.deletion_id == DeletionRow.id),
        _has_segments(),
        _has_log(),
    )
    done = select(DeletionRow).where(DeletionRow.finished_at.is_(None), ~left).limit(500)
    rows = session.scalars(done.with_for_update(skip_locked=True)).all()
    for row in rows:
        row.finished_at = now(session)
    return len(rows)


def _has_segments() -> ColumnElement[bool]:
    """Segments hold numbers of what was forgotten, or the files of rewritten ones do."""
    worn = exists().where(
        SegmentRow.organisation_id == DeletionRow.organisation_id,
        SegmentRow.worn_at <= DeletionRow.forgotten_at,
    )
    rewritten = exists().where(
        DeletedFileRow.organisation_id == DeletionRow.organisation_id,
        DeletedFileRow.deletion_id == "",
        DeletionRow.forgotten_at.is_not(None),
    )
    return or_(worn, rewritten)


def _has_log() -> ColumnElement[bool]:
    """What was written down of a model that has gone is there still."""
    return exists().where(
        DeletionRow.object == MODEL,
        LoggedPredictionRow.organisation_id == DeletionRow.organisation_id,
        LoggedPredictionRow.model_id == DeletionRow.object_id,
    )


def overdue(session: Session, *, seconds: float) -> set[str]:
    """The organisations of which files or logged inputs should be gone for so long."""
    before = now(session) - seconds
    files = select(DeletedFileRow.organisation_id).where(DeletedFileRow.created_at < before)
    logs = select(DeletionRow.organisation_id).where(
        DeletionRow.finished_at.is_(None), DeletionRow.created_at < before, _has_log()
    )
    return {one for query in (files, logs) for one in session.scalars(query.distinct())}


def unfinished(session: Session, of: str, *, organisation_id: str) -> list[DeletionRow]:
    """The organisation's deletions of such an object that are not done."""
    mine = DeletionRow.organisation_id == organisation_id, DeletionRow.object == of
    return list(
        session.scalars(select(DeletionRow).where(*mine, DeletionRow.finished_at.is_(None)))
    )


def prune(session: Session, *, days: int, limit: int) -> int:
    """Drop some deletions that were done more than so many days ago; 0 keeps all. How many."""
    if not days:
        return 0
    old = select(DeletionRow.id).where(DeletionRow.finished_at < now(session) - days * _DAY)
    ids = list(session.scalars(old.limit(limit)))
    gone = delete(DeletionRow).where(DeletionRow.id.in_(ids))
    session.execute(gone.execution_options(synchronize_session=False))
    return len(ids)
