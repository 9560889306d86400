"""Drift of models in use: references, the windows after them, and the work that tests these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.core.ids import new_id
from app.core.live.rule import PredictionLog
from app.infra.database import now
from app.infra.orm import (
    AliasRow,
    DriftReferenceRow,
    DriftWindowRow,
    FeedbackRow,
    LoggedPredictionRow,
    WorkRow,
)
from app.infra.repositories import work
from app.infra.repositories.live import watched
from app.infra.repositories.picking import IDLE
from app.infra.repositories.retraining import hook_runs, webhooks

KIND = "drift"


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What is watched: the inputs that a model was asked about under an alias."""

    organisation_id: str
    alias: str
    model_id: str


def reference(session: Session, of: Watched) -> DriftReferenceRow | None:
    """The first inputs, once they were enough."""
    return session.get(
        DriftReferenceRow, (of.organisation_id, of.alias, of.model_id), populate_existing=True
    )


def windows(session: Session, of: Watched, *, limit: int) -> list[DriftWindowRow]:
    """The latest windows, newest first."""
    statement = select(DriftWindowRow).where(
        DriftWindowRow.organisation_id == of.organisation_id,
        DriftWindowRow.alias == of.alias,
        DriftWindowRow.model_id == of.model_id,
    )
    return list(session.scalars(statement.order_by(DriftWindowRow.id.desc()).limit(limit)))


def _waiting(of: Watched, after: str) -> list[Any]:
    row = LoggedPredictionRow
    return [
        row.organisation_id == of.organisation_id,
        row.alias == of.alias,
        row.model_id == of.model_id,
        row.id > after,
        row.embedding.is_not(None),
    ]


def last_tested(session: Session, of: Watched) -> str:
    """The log's row that a reference or a window was complete with last; empty: none was."""
    latest = windows(session, of, limit=1)
    if latest:
        return latest[0].last_id
    first = reference(session, of)
    return first.last_id if first is not None else ""


def waiting(session: Session, of: Watched) -> int:
    """How many inputs no window has had."""
    which = _waiting(of, last_tested(session, of))
    organisation_id = of.organisation_id
    statement = select(func.count()).select_from(LoggedPredictionRow).where(
        LoggedPredictionRow.organisation_id == organisation_id, *which
    )  # fmt: skip
    return int(session.scalar(statement) or 0)


def oldest(session: Session, of: Watched) -> float | None:
    """When the first input that no window has had was written down."""
    organisation_id = of.organisation_id
    statement = select(func.min(LoggedPredictionRow.created_at)).where(
        LoggedPredictionRow.organisation_id == organisation_id,
        *_waiting(of, last_tested(session, of)),
    )
    return session.scalar(statement)


def following(session: Session, of: Watched, after: str, limit: int) -> list[LoggedPredictionRow]:
    """The next inputs, in the order in which they were written down."""
    statement = select(LoggedPredictionRow).where(
        LoggedPredictionRow.organisation_id == of.organisation_id, *_waiting(of, after)
    )
    return list(session.scalars(statement.order_by(LoggedPredictionRow.id).limit(limit)))


def within(
    session: Session, of: Watched, after: str, window: DriftWindowRow
) -> list[LoggedPredictionRow]:
    """A window's inputs that the log still has, in their order; it begins after the row `after`."""
    return [row for row in following(session, of, after, window.size) if row.id <= window.last_id]


def window(session: Session, of: Watched, window_id: str) -> DriftWindowRow | None:
    """A window of what is watched; None where it is gone."""
    statement = select(DriftWindowRow).where(
        DriftWindowRow.organisation_id == of.organisation_id,
        DriftWindowRow.alias == of.alias,
        DriftWindowRow.model_id == of.model_id,
        DriftWindowRow.id == window_id,
    )
    return session.scalars(statement, execution_options={"populate_existing": True}).one_or_none()


def labels(session: Session, rows: Sequence[LoggedPredictionRow]) -> list[str | None]:
    """What audited feedback says that they are; None where there is none.

    What callers volunteer is mostly of errors: within a class those are other inputs than the rest.
    """
    if not rows:
        return []
    of = FeedbackRow
    said = session.execute(
        select(of.prediction_id, of.place, of.label).where(
            of.organisation_id == rows[0].organisation_id,
            of.alias == rows[0].alias,
            of.label.is_not(None),
            of.audited.is_(True),
            of.prediction_id.in_([row.prediction_id for row in rows]),
        )
    )
    known = {(prediction, place): label for prediction, place, label in said}
    return [known.get((row.prediction_id, row.place)) for row in rows]


def first_labels(session: Session, of: Watched, first: DriftReferenceRow) -> list[str | None]:
    """What audited feedback says by now that the reference's inputs are. It keeps neither ids nor
    hashes: they are known by their embeddings as long as the log has them, and keep then what was
    known of them last.
    """
    rows = [row for row in following(session, of, "", first.size) if row.id <= first.last_id]
    named = labels(session, rows)
    said: dict[bytes | None, str | None] = {row.embedding: None for row in rows}
    said |= {row.embedding: one for row, one in zip(rows, named, strict=True) if one is not None}
    width = len(first.embeddings) // first.size
    own = [first.embeddings[at * width : (at + 1) * width] for at in range(first.size)]
    return [said.get(one, before) for one, before in zip(own, first.labels, strict=True)]


def queue_labelled(session: Session, of: Watched) -> None:
    """Have a trainer look what an audited label, which has just come, tells of windows that were
    tested before it; one look that has not begun is enough.
    """
    if windows(session, of, limit=1) and not _is_asked(session, of, ["queued"]):
        _ask(session, of)


def queue(session: Session, of: Watched, rule: PredictionLog) -> bool:
    """Have a trainer look, if inputs enough wait for it and none is to; whether one was asked."""
    wanted = rule.window if reference(session, of) is not None else rule.reference
    if waiting(session, of) < wanted:
        return False
    if _is_asked(session, of, ["queued", "running"]):
        return False
    _ask(session, of)
    return True


def _payload(of: Watched) -> dict[str, str]:
    return {"alias": of.alias, "model": of.model_id}


def _is_asked(session: Session, of: Watched, states: Sequence[str]) -> bool:
    pending = session.scalars(
        select(WorkRow.payload).where(
            WorkRow.organisation_id == of.organisation_id,
            WorkRow.kind == KIND,
            WorkRow.state.in_(states),
        )
    )
    return any(_payload(of).items() <= one.items() for one in pending)


def _ask(session: Session, of: Watched) -> None:
    whose, payload = of.organisation_id, _payload(of)
    work.add(session, KIND, organisation_id=whose, payload=payload, priority=IDLE)


def alias_of(session: Session, of: Watched) -> AliasRow | None:
    """The alias, locked against its deletion; None where it is gone."""
    statement = select(AliasRow).where(
        AliasRow.organisation_id == of.organisation_id, AliasRow.name == of.alias
    )
    return session.scalars(statement.with_for_update(read=True)).one_or_none()


def add_window(session: Session, of: Watched, values: Mapping[str, Any]) -> DriftWindowRow:
    """Write a tested window down; where it has drifted, tell webhooks, and pull the hooks."""
    row = DriftWindowRow(
        id=new_id("drift_"),
        organisation_id=of.organisation_id,
        alias=of.alias,
        model_id=of.model_id,
        created_at=now(session),
        **values,
    )
    session.add(row)
    session.flush()
    if row.drifted:
        told = {
            "id": row.id,
            "object": "drift.window",
            "alias": of.alias,
            "model": of.model_id,
            "number": row.number,
            **row.result,
        }
        webhooks.emit(session, "drift.detected", told, organisation_id=of.organisation_id)
        _pull(session, of, row)
    return row


def _pull(session: Session, of: Watched, row: DriftWindowRow) -> None:
    cause = {
        "type": "drift",
        "model": of.model_id,
        "window": row.id,
        "number": row.number,
        "p": row.result["p"],
    }
    for hook in watched.hooks_of(
        session, "drift", organisation_id=of.organisation_id, alias=of.alias
    ):
        hook_runs.trigger(session, hook, cause)


def of_model(session: Session, *, organisation_id: str, model_id: str) -> str:
    """The alias under which a model was watched last; empty: under none."""
    statement = select(DriftReferenceRow.alias).where(
        DriftReferenceRow.organisation_id == organisation_id,
        DriftReferenceRow.model_id == model_id,
    )
    latest = statement.order_by(DriftReferenceRow.created_at.desc()).limit(1)
    return session.scalars(latest).first() or ""
