"""The moves of aliases: each is a line of the alias's history, in the transaction that moves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.infra.database import now
from app.infra.orm import AliasMoveRow, AliasRow, ModelRow
from app.infra.repositories import aliases

_MOST_MOVES = 5000


@dataclass(frozen=True, kw_only=True)
class Move:
    """Why an alias moves, and who moves it: a key's or a hook's id."""

    cause: str
    actor: str
    reason: str | None = None
    promotion_id: str | None = None
    evidence: dict[str, Any] | None = None


def point(
    session: Session,
    *,
    organisation_id: str,
    alias: str,
    model_id: str,
    move: Move,
    pinned: bool | None = None,
) -> AliasRow:
    """Let the alias mean the model from this commit on, alone, and write down why.

    A split and a shadow end with it. `pinned` None: as it was. Raises not_found for an unknown
    model.
    """
    before = session.get(AliasRow, (organisation_id, alias), populate_existing=True)
    was = before.model_id if before is not None else None
    keep = before.pinned if before is not None and pinned is None else bool(pinned)
    row = aliases.point(
        session, organisation_id=organisation_id, name=alias, model_id=model_id, pinned=keep
    )
    if was != model_id or move.cause != "put":
        record(session, organisation_id=organisation_id, alias=alias, move=move,
               models=(was, model_id))  # fmt: skip
    return row


def record(
    session: Session,
    *,
    organisation_id: str,
    alias: str,
    move: Move,
    models: tuple[str | None, str | None],
) -> str:
    """Add a line: from which model to which; its id."""
    row = AliasMoveRow(
        id=new_id("move_"),
        organisation_id=organisation_id,
        alias=alias,
        cause=move.cause,
        model_id=models[1],
        from_model_id=models[0],
        actor=move.actor,
        reason=move.reason,
        promotion_id=move.promotion_id,
        evidence=move.evidence or _known(session, models[1], organisation_id),
        created_at=now(session),
    )
    session.add(row)
    return row.id


def _known(session: Session, model_id: str | None, organisation_id: str) -> dict[str, Any] | None:
    """What is known of a model that nobody has compared: the figures of its evaluation."""
    if model_id is None:
        return None
    row = session.scalars(
        select(ModelRow).where(ModelRow.organisation_id == organisation_id, ModelRow.id == model_id)
    ).one_or_none()
    if row is None:
        return None
    figures = ("accuracy", "balanced_accuracy", "log_loss", "how")
    return {name: row.evaluation[name] for name in figures if name in row.evaluation}


def listing(
    session: Session, *, organisation_id: str, alias: str, after: str | None, limit: int
) -> list[AliasMoveRow]:
    """At most `limit` moves, newest first, those before `after`."""
    statement = select(AliasMoveRow).where(
        AliasMoveRow.organisation_id == organisation_id, AliasMoveRow.alias == alias
    )
    if after is not None:
        statement = statement.where(AliasMoveRow.id < after)
    return list(session.scalars(statement.order_by(AliasMoveRow.id.desc()).limit(limit)))


def is_taken_away(session: Session, *, organisation_id: str, alias: str, since: float) -> bool:
    """Whether somebody has deleted the alias since then, and nobody has made it again."""
    if session.get(AliasRow, (organisation_id, alias), populate_existing=True) is not None:
        return False
    last = listing(session, organisation_id=organisation_id, alias=alias, after=None, limit=1)
    return bool(last) and last[0].cause == "deleted" and last[0].created_at > since


def former(session: Session, *, organisation_id: str, alias: AliasRow) -> str:
    """The model that the alias meant before the one it means now, and that is still there.

    A roll-back is undone by none: two in a row go back twice. Raises invalid_transition.
    """
    moves = listing(
        session, organisation_id=organisation_id, alias=alias.name, after=None, limit=_MOST_MOVES
    )
    stack: list[str] = []
    for move in reversed(moves):
        _follow(stack, move)
    earlier = [model_id for model_id in stack if model_id != alias.model_id]
    there = set(
        session.scalars(
            select(ModelRow.id).where(
                ModelRow.organisation_id == organisation_id, ModelRow.id.in_(earlier)
            )
        )
    )
    for model_id in reversed(earlier):
        if model_id in there:
            return model_id
    why = (
        f"the alias meant no model before {alias.model_id} that is still there; to mean another, "
        'PUT the alias with its id: {"model": "…"}'
    )
    raise HeadstartError("invalid_transition", why, param="name")


def _follow(stack: list[str], move: AliasMoveRow) -> None:
    """The models that lie below the one that is meant, after one more move."""
    if move.model_id is None:
        stack.clear()
    elif move.cause == "rollback":
        if move.model_id in stack:
            del stack[stack.index(move.model_id) + 1 :]
    else:
        if not stack and move.from_model_id is not None:
            stack.append(move.from_model_id)
        if not stack or stack[-1] != move.model_id:
            stack.append(move.model_id)
