"""The rows of Idempotency-Keys. Whoever inserts a key's row first owns it; the rest replay.

A JSON request's row is written in the transaction of its effect: the one exists if and only if the
other does, and a loser's insert waits for the winner's commit. An upload's row is leased meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, String, cast, delete, select, text, update
from sqlalchemy.orm import Session

from app.infra.database import now
from app.infra.orm import IdempotencyRow

KEPT_SECONDS = 24 * 3600.0
_PRUNED_AT_ONCE = 50


@dataclass(frozen=True, kw_only=True)
class IdempotencyKey:
    """A caller's key, and the digest of the request that it came with."""

    organisation_id: str
    value: str
    request_sha256: str


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a request answered."""

    status: int
    body: dict[str, Any]


def find(session: Session, key: IdempotencyKey) -> IdempotencyRow | None:
    """The key's row as it is now, if it is younger than a day."""
    row = session.get(IdempotencyRow, (key.organisation_id, key.value), populate_existing=True)
    return row if row is not None and row.created_at > now(session) - KEPT_SECONDS else None


def insert(session: Session, key: IdempotencyKey, *, lease_until: float | None = None) -> bool:
    """Whether the key is now ours; waits for the end of any transaction that is writing it."""
    at = now(session)
    _prune(session, key, before=at - KEPT_SECONDS)
    inserted = session.execute(
        text(
            "INSERT INTO idempotency_keys "
            "(organisation_id, key, request_sha256, created_at, lease_until) "
            "VALUES (:organisation, :key, :sha256, :at, :lease) ON CONFLICT DO NOTHING"
        ),
        {
            "organisation": key.organisation_id,
            "key": key.value,
            "sha256": key.request_sha256,
            "at": at,
            "lease": lease_until,
        },
    )
    assert isinstance(inserted, CursorResult)
    return inserted.rowcount == 1


def lease(session: Session, key: IdempotencyKey, *, lease_seconds: float) -> float | None:
    """A lease on a new key, or on one whose lease has run out: its end; None if it is not free."""
    at = now(session)
    if insert(session, key, lease_until=at + lease_seconds):
        return at + lease_seconds
    taken = session.execute(
        update(IdempotencyRow)
        .where(*_is(key), IdempotencyRow.status.is_(None), IdempotencyRow.lease_until < at)
        .values(lease_until=at + lease_seconds, request_sha256=key.request_sha256)
        .execution_options(synchronize_session=False)
    )
    assert isinstance(taken, CursorResult)
    return at + lease_seconds if taken.rowcount == 1 else None


def extend(
    session: Session, key: IdempotencyKey, *, lease: float, lease_seconds: float
) -> float | None:
    """The lease's new end, or None where it was lost."""
    until = now(session) + lease_seconds
    return until if _write(session, key, lease, lease_until=until) else None


def answer(
    session: Session, key: IdempotencyKey, reply: Reply, *, lease: float | None = None
) -> bool:
    """Store what the request answered, unless its lease was lost."""
    values = {"status": reply.status, "response": reply.body, "lease_until": None}
    return _write(session, key, lease, **values)


def release(session: Session, key: IdempotencyKey, *, lease: float) -> None:
    """Give a leased key back: its request had no effect."""
    session.execute(
        delete(IdempotencyRow)
        .where(*_is(key), IdempotencyRow.status.is_(None), IdempotencyRow.lease_until == lease)
        .execution_options(synchronize_session=False)
    )


def forget(session: Session, organisation_id: str, *, named: str) -> None:
    """Drop the answers that name this id: what was told once, such as a secret, goes with it."""
    session.execute(
        delete(IdempotencyRow)
        .where(
            IdempotencyRow.organisation_id == organisation_id,
            cast(IdempotencyRow.response, String).contains(named, autoescape=True),
        )
        .execution_options(synchronize_session=False)
    )


def prune(session: Session, *, limit: int) -> int:
    """Drop some keys that have expired, of whoever does not come back; how many."""
    expired = (
        select(IdempotencyRow.organisation_id, IdempotencyRow.key)
        .where(IdempotencyRow.created_at < now(session) - KEPT_SECONDS)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    gone = session.execute(expired).all()
    for row in gone:
        session.execute(
            delete(IdempotencyRow)
            .where(
                IdempotencyRow.organisation_id == row.organisation_id,
                IdempotencyRow.key == row.key,
            )
            .execution_options(synchronize_session=False)
        )
    return len(gone)


def _write(session: Session, key: IdempotencyKey, lease: float | None, **values: Any) -> bool:
    held = IdempotencyRow.lease_until == lease  # None: IS NULL
    result = session.execute(
        update(IdempotencyRow)
        .where(*_is(key), IdempotencyRow.status.is_(None), held)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)
    return result.rowcount == 1


def _is(key: IdempotencyKey) -> tuple[Any, ...]:
    return (
        IdempotencyRow.organisation_id == key.organisation_id,
        IdempotencyRow.key == key.value,
    )


def _prune(session: Session, key: IdempotencyKey, *, before: float) -> None:
    """Drop this key if it has expired, and some others that have, so that the table stays small.

    Rows that somebody else is dropping are skipped, so that two callers cannot deadlock.
    """
    expired = (
        select(IdempotencyRow.key)
        .where(
            IdempotencyRow.organisation_id == key.organisation_id,
            IdempotencyRow.created_at < before,
        )
        .order_by(IdempotencyRow.key != key.value, IdempotencyRow.created_at)
        .limit(_PRUNED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    gone = list(session.scalars(expired))
    if gone:
        session.execute(
            delete(IdempotencyRow)
            .where(
                IdempotencyRow.organisation_id == key.organisation_id,
                IdempotencyRow.key.in_(gone),
            )
            .execution_options(synchronize_session=False)
        )
