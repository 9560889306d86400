"""What was written down of inputs that are erased: their rows go, and the files are written anew.

A file of the log holds several inputs. Those that stay are copied out of it under another key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.infra.orm import (
    AliasWearRow,
    DriftReferenceRow,
    DriftWindowRow,
    FeedbackRow,
    LoggedPredictionRow,
)

_AT_ONCE = 500


@dataclass(frozen=True)
class Slice:
    """Where a row of the log has its input in a file."""

    id: str
    start: int
    length: int


@dataclass(frozen=True)
class Written:
    """The rows of erased inputs, and by file the inputs beside them that stay."""

    logged: list[str]
    feedback: list[str]
    beside: Mapping[str, list[Slice]]
    files: frozenset[str]
    """All files that have an erased input."""
    embeddings: frozenset[bytes]
    """What the log kept of the erased inputs beside their contents."""

    @property
    def rows(self) -> frozenset[str]:
        """All of them, to tell whether others have come."""
        return frozenset([*self.logged, *self.feedback])


def find(session: Session, sha256s: Iterable[str], *, organisation_id: str) -> Written:
    """What the log and feedback have of these contents."""
    logged: list[LoggedPredictionRow] = []
    feedback: list[FeedbackRow] = []
    for some in _batches(sorted(sha256s)):
        of = LoggedPredictionRow
        wanted = select(of).where(of.organisation_id == organisation_id, of.sha256.in_(some))
        logged += session.scalars(wanted)
        said = FeedbackRow
        told = select(said).where(said.organisation_id == organisation_id, said.sha256.in_(some))
        feedback += session.scalars(told)
    ids = {row.id for row in logged}
    files = {row.content_key for row in logged} - {None}
    own = {row.content_key for row in feedback} - {None}
    embeddings = frozenset(row.embedding for row in logged if row.embedding)
    return Written(
        logged=sorted(ids),
        feedback=sorted(row.id for row in feedback),
        beside=_beside(session, files, ids, organisation_id),
        files=frozenset(key for key in files | own if key is not None),
        embeddings=embeddings,
    )


def _beside(
    session: Session, files: Iterable[str | None], ids: Iterable[str], organisation_id: str
) -> dict[str, list[Slice]]:
    gone = set(ids)
    found: dict[str, list[Slice]] = defaultdict(list)
    of = LoggedPredictionRow
    for key in files:
        wanted = select(of.id, of.content_start, of.content_length).where(
            of.organisation_id == organisation_id, of.content_key == key
        )
        for row in session.execute(wanted.order_by(of.content_start)):
            if key is not None and row.id not in gone:
                found[key].append(Slice(*row))
    return dict(found)


def move(session: Session, key: str, slices: Sequence[Slice], *, organisation_id: str) -> None:
    """Let those of the rows that are there still name their inputs in another file."""
    of = LoggedPredictionRow
    for one in slices:
        session.execute(
            update(of)
            .where(of.organisation_id == organisation_id, of.id == one.id)
            .values(content_key=key, content_start=one.start)
            .execution_options(synchronize_session=False)
        )


def remove(session: Session, found: Written, *, organisation_id: str) -> dict[str, int]:
    """Delete the rows, and what was measured on their embeddings; how many, by what they were."""
    counts = {"logged_predictions": 0, "feedback": 0, "drift_references": 0}
    tables: tuple[tuple[str, Any, list[str]], ...] = (
        ("logged_predictions", LoggedPredictionRow, found.logged),
        ("feedback", FeedbackRow, found.feedback),
    )
    for name, of, ids in tables:
        for some in _batches(ids):
            gone = delete(of).where(of.organisation_id == organisation_id, of.id.in_(some))
            counts[name] += len(session.scalars(gone.returning(of.id)).all())
    counts["drift_references"] = _forget_drift(session, found.embeddings, organisation_id)
    return {name: count for name, count in counts.items() if count}


def _forget_drift(session: Session, embeddings: frozenset[bytes], organisation_id: str) -> int:
    """Drop the references that hold one of these, with the windows that were held against them."""
    if not embeddings:
        return 0
    of, gone = DriftReferenceRow, 0
    wanted = select(of).where(of.organisation_id == organisation_id)
    for row in session.scalars(wanted).all():
        width = len(row.embeddings) // row.size if row.size else 0
        kept = {row.embeddings[at * width : (at + 1) * width] for at in range(row.size)}
        if not embeddings.isdisjoint(kept):
            window = DriftWindowRow
            session.execute(
                delete(window).where(
                    window.organisation_id == organisation_id,
                    window.alias == row.alias,
                    window.model_id == row.model_id,
                )
            )
            session.delete(row)
            gone += 1
    session.flush()
    return gone


def worn(session: Session, *, organisation_id: str) -> list[AliasWearRow]:
    """What each alias's gate has asked, locked until the transaction ends."""
    of = AliasWearRow
    wanted = select(of).where(of.organisation_id == organisation_id).order_by(of.alias)
    fresh = {"populate_existing": True}
    return list(session.scalars(wanted.with_for_update(), execution_options=fresh))


def _batches(items: Iterable[str]) -> Iterator[list[str]]:
    source = iter(items)
    while some := list(islice(source, _AT_ONCE)):
        yield some
