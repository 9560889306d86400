"""The prediction log: rows that end by their retention, or with their alias or model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.live.rule import CurrentLog, PredictionLog
from app.infra.database import now
from app.infra.orm import AliasRow, FeedbackRow, LoggedPredictionRow, ModelRow

_KEYS: tuple[Any, ...] = (LoggedPredictionRow.content_key, FeedbackRow.content_key)
_KEYS_AT_ONCE = 500
"""Files that one question is about: a log has as many as there were requests."""


def current(
    session: Session, *, organisation_id: str, alias: str, model_id: str, alone: bool = False
) -> CurrentLog | None:
    """The alias's log where it is on, and the model is there still; held so until the commit, and
    `alone` by nobody else.
    """
    named = select(AliasRow.log_id, AliasRow.prediction_log).where(
        AliasRow.organisation_id == organisation_id, AliasRow.name == alias
    )
    model = select(ModelRow.id).where(
        ModelRow.organisation_id == organisation_id, ModelRow.id == model_id
    )
    row = session.execute(named.with_for_update(read=not alone)).one_or_none()
    there = session.scalars(model.with_for_update(read=True)).one_or_none() is not None
    if row is None or not row.prediction_log or not there:
        return None
    return CurrentLog(row.log_id, PredictionLog.model_validate(row.prediction_log))


def of_prediction(
    session: Session, prediction_id: str, *, organisation_id: str
) -> list[LoggedPredictionRow]:
    """The inputs of one answer that were written down, in their order."""
    of = LoggedPredictionRow
    statement = select(of).where(
        of.organisation_id == organisation_id,
        of.prediction_id == prediction_id,
        of.expires_at > now(session),
    )
    return list(session.scalars(statement.order_by(of.place).limit(10_000)))


def get(session: Session, logged_id: str, *, organisation_id: str) -> LoggedPredictionRow:
    """One input that was written down. Raises not_found."""
    row = session.get(LoggedPredictionRow, logged_id)
    if row is None or row.organisation_id != organisation_id or row.expires_at <= now(session):
        raise missing()
    return row


def missing() -> HeadstartError:
    """The same answer for inputs that never were, are somebody else's or another model's."""
    return HeadstartError("not_found", "the log has no such input")


def whose(organisation_id: str, *, alias: str, model_id: str | None) -> list[ColumnElement[bool]]:
    """Conditions: rows of an alias, of a model, or of both; `alias` empty: of any."""
    found = [LoggedPredictionRow.organisation_id == organisation_id]
    if alias:
        found.append(LoggedPredictionRow.alias == alias)
    if model_id is not None:
        found.append(LoggedPredictionRow.model_id == model_id)
    return found


def count(session: Session, which: Iterable[ColumnElement[bool]]) -> int:
    """How many rows."""
    return int(
        session.scalar(select(func.count()).select_from(LoggedPredictionRow).where(*which)) or 0
    )


def has_more(session: Session, which: Iterable[ColumnElement[bool]], *, than: int) -> bool:
    """Whether there are more rows than so many, however many there are."""
    found = select(LoggedPredictionRow.id).where(*which).limit(than + 1)
    return len(session.scalars(found).all()) > than


def forget_alias(session: Session, alias: AliasRow) -> tuple[int, list[str]]:
    """Delete what was written down of an alias; how much, and the files that hold its contents."""
    which = whose(alias.organisation_id, alias=alias.name, model_id=None)
    return drop(session, which, limit=None)


def drop(
    session: Session, which: Iterable[ColumnElement[bool]], *, limit: int | None
) -> tuple[int, list[str]]:
    """Delete at most `limit` such rows; how many, and the files that no row names any more."""
    of = LoggedPredictionRow
    due = select(of.id).where(*which).limit(limit)
    keys = session.scalars(delete(of).where(of.id.in_(due)).returning(of.content_key)).all()
    session.flush()
    return len(keys), needless(session, dict.fromkeys(keys))


def needless(session: Session, keys: Iterable[str | None]) -> list[str]:
    """Those of the keys that no row names any more."""
    asked = [key for key in keys if key is not None]
    gone = list[str]()
    for start in range(0, len(asked), _KEYS_AT_ONCE):
        some = asked[start : start + _KEYS_AT_ONCE]
        among = {
            key
            for column in _KEYS
            for key in session.scalars(select(column).where(column.in_(some)))
        }
        gone += [key for key in some if key not in among]
    return gone


def is_named(session: Session, key: str) -> bool:
    """Whether the log or feedback has inputs in this file."""
    return not needless(session, [key])


def named(session: Session) -> set[str]:
    """Every file that the log or feedback has inputs in."""
    return {key for column in _KEYS for key in session.scalars(select(column)) if key is not None}


def expire(session: Session, *, limit: int) -> tuple[int, list[str]]:
    """Delete at most `limit` rows whose time is over; how many, and the files that they leave."""
    return drop(session, [LoggedPredictionRow.expires_at <= now(session)], limit=limit)
