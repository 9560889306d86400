"""The index of cached embeddings: (organisation, key, example's sha256) → row of a segment."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.infra.database import now
from app.infra.orm import Base, EmbeddingRow, SegmentRow

_AT_ONCE = 2000
_FRESH_SECONDS = 60.0

Place = tuple[str, int]
"""Segment and row."""


def find(
    session: Session, *, organisation_id: str, key: str, sha256s: Iterable[str]
) -> dict[str, Place]:
    """Where the embeddings of these contents lie; those that were never made are left out."""
    places: dict[str, Place] = {}
    for some in _batches(dict.fromkeys(sha256s)):
        statement = select(EmbeddingRow.sha256, EmbeddingRow.segment_id, EmbeddingRow.row).where(
            EmbeddingRow.organisation_id == organisation_id,
            EmbeddingRow.key == key,
            EmbeddingRow.sha256.in_(some),
        )
        places |= {sha256: (segment, row) for sha256, segment, row in session.execute(statement)}
    return places


def add_segment(
    session: Session,
    segment_id: str,
    *,
    organisation_id: str,
    key: str,
    sha256s: Sequence[str],
    size: int,
    digest: str | None = None,
    used_at: float | None = None,
) -> None:
    """Index a stored segment of `size` bytes whose row i embeds `sha256s[i]`; known ones stay.

    `digest` is the file's sha256. It counts as last used at `used_at`, or now.
    """
    at = now(session)
    session.add(
        SegmentRow(
            id=segment_id,
            organisation_id=organisation_id,
            key=key,
            bytes=size,
            sha256=digest,
            created_at=at,
            last_used_at=at if used_at is None else used_at,
        )
    )
    session.flush()
    rows = [
        {
            "organisation_id": organisation_id,
            "key": key,
            "sha256": sha256,
            "segment_id": segment_id,
            "row": row,
        }
        for sha256, row in sorted(zip(sha256s, range(len(sha256s)), strict=True))
    ]
    _insert_unknown(session, rows)
    indexed = select(func.count()).where(EmbeddingRow.segment_id == segment_id)
    if session.scalar(indexed) != len(rows):
        wear(session, [segment_id])


def digests(session: Session, segment_ids: Iterable[str]) -> dict[str, str | None]:
    """The sha256 of each segment's file; None where none was kept. Those that are gone lack."""
    found: dict[str, str | None] = {}
    for some in _batches(sorted(set(segment_ids))):
        told = select(SegmentRow.id, SegmentRow.sha256).where(SegmentRow.id.in_(some))
        found |= {row.id: row.sha256 for row in session.execute(told)}
    return found


def wear(session: Session, segment_ids: Iterable[str]) -> None:
    """Note that files have rows that nothing indexes, for `worn`."""
    at = now(session)
    for some in _batches(sorted(set(segment_ids))):
        session.execute(
            update(SegmentRow)
            .where(SegmentRow.id.in_(some), SegmentRow.worn_at.is_(None))
            .values(worn_at=at)
            .execution_options(synchronize_session=False)
        )


def mend(session: Session, segment_ids: Iterable[str]) -> None:
    """Note that everything in these files is indexed, after a look at locked rows."""
    for some in _batches(sorted(set(segment_ids))):
        session.execute(
            update(SegmentRow)
            .where(SegmentRow.id.in_(some))
            .values(worn_at=None)
            .execution_options(synchronize_session=False)
        )


def _insert_unknown(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Rows come sorted, so that two workers that index the same contents cannot deadlock."""
    table = Base.metadata.tables[EmbeddingRow.__tablename__]
    insert: Any = sqlite.insert(table)
    if session.get_bind().dialect.name == "postgresql":
        insert = postgresql.insert(table)
    if rows:
        session.connection().execute(insert.on_conflict_do_nothing(), rows)


def touch(session: Session, segment_ids: Iterable[str]) -> None:
    """Note that segments are in use; a note younger than a minute is good enough."""
    at = now(session)
    for some in _batches(sorted(set(segment_ids))):
        session.execute(
            update(SegmentRow)
            .where(SegmentRow.id.in_(some), SegmentRow.last_used_at < at - _FRESH_SECONDS)
            .values(last_used_at=at)
            .execution_options(synchronize_session=False)
        )


def one_before(session: Session, at: float, *, organisation_id: str) -> SegmentRow | None:
    """One of the organisation's segments of before a time; None if there is none."""
    before = SegmentRow.organisation_id == organisation_id, SegmentRow.created_at <= at
    return session.scalars(select(SegmentRow).where(*before).limit(1)).first()


def total_bytes(session: Session) -> int:
    """Bytes of all segments together."""
    return int(session.scalar(select(func.coalesce(func.sum(SegmentRow.bytes), 0))) or 0)


def to_evict(session: Session, *, excess: int) -> list[SegmentRow]:
    """Segments that together hold at least `excess` bytes: each the least recently used one of
    the organisation that holds most by then, so that who embeds much evicts nobody else's.
    """
    owned: dict[str, deque[SegmentRow]] = defaultdict(deque)
    for segment in session.scalars(select(SegmentRow).order_by(SegmentRow.last_used_at)):
        owned[segment.organisation_id].append(segment)
    held = {owner: sum(one.bytes for one in some) for owner, some in owned.items()}
    chosen: list[SegmentRow] = []
    while excess > 0 and any(owned.values()):
        owner = max((one for one in owned if owned[one]), key=held.__getitem__)
        chosen.append(owned[owner].popleft())
        held[owner] -= chosen[-1].bytes
        excess -= chosen[-1].bytes
    return chosen


def fragmented(session: Session, *, small: int, many: int, most: int) -> list[SegmentRow]:
    """Some segments below `small` bytes of one cache that has at least `many` of them, or [].

    Together they hold at most `most` bytes.
    """
    group = (SegmentRow.organisation_id, SegmentRow.key)
    scope = session.execute(
        select(*group)
        .where(SegmentRow.bytes < small)
        .group_by(*group)
        .having(func.count() >= many)
        .limit(1)
    ).first()
    if scope is None:
        return []
    statement = select(SegmentRow).where(
        SegmentRow.organisation_id == scope[0],
        SegmentRow.key == scope[1],
        SegmentRow.bytes < small,
    )
    candidates = session.scalars(statement.order_by(SegmentRow.id).limit(4 * many)).all()
    return _within(candidates, most)


def worn(session: Session, *, many: int, most: int) -> list[SegmentRow]:
    """Some segments of one cache with rows that nothing indexes, the longest so first, or [].

    Together they hold at most `most` bytes, unless one alone holds more.
    """
    oldest_first = select(SegmentRow).where(SegmentRow.worn_at.is_not(None))
    oldest_first = oldest_first.order_by(SegmentRow.worn_at, SegmentRow.id)
    first = session.scalars(oldest_first.limit(1)).first()
    if first is None:
        return []
    group = oldest_first.where(
        SegmentRow.organisation_id == first.organisation_id, SegmentRow.key == first.key
    )
    return _within(session.scalars(group.limit(many)).all(), most) or [first]


def _within(candidates: Sequence[SegmentRow], most: int) -> list[SegmentRow]:
    held = accumulate(segment.bytes for segment in candidates)
    return [segment for segment, total in zip(candidates, held, strict=True) if total <= most]


def rows_of(
    session: Session, segment_ids: Sequence[str], *, lock: bool = False
) -> dict[str, list[tuple[str, int]]]:
    """(sha256, row) of what is indexed in each of a few segments, by sha256.

    Locked rows stay as they are until the transaction ends; a deletion locks rows before segments.
    """
    statement = (
        select(EmbeddingRow.segment_id, EmbeddingRow.sha256, EmbeddingRow.row)
        .where(EmbeddingRow.segment_id.in_(segment_ids))
        .order_by(EmbeddingRow.sha256)
    )
    rows: dict[str, list[tuple[str, int]]] = {segment_id: [] for segment_id in segment_ids}
    for segment_id, sha256, row in session.execute(
        statement.with_for_update() if lock else statement
    ):
        rows[segment_id].append((sha256, row))
    return rows


def lock_segments(session: Session, segment_ids: Sequence[str]) -> list[SegmentRow]:
    """Those of the segments that are still there, locked until the transaction ends."""
    statement = select(SegmentRow).where(SegmentRow.id.in_(segment_ids)).order_by(SegmentRow.id)
    return list(
        session.scalars(statement.with_for_update(), execution_options={"populate_existing": True})
    )


def drop(session: Session, segment_ids: Iterable[str]) -> None:
    """Forget segments and what was indexed in them."""
    for some in _batches(list(segment_ids)):
        for table in (EmbeddingRow.segment_id, SegmentRow.id):
            session.execute(
                delete(table.class_)
                .where(table.in_(some))
                .execution_options(synchronize_session=False)
            )


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    """Lists short enough for one statement's parameters."""
    source = iter(items)
    while some := list(islice(source, _AT_ONCE)):
        yield some
