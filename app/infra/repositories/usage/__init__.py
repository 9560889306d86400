"""Usage records: what organisations have used, added up by day, kind and subject.

| kind | subject | amount |
|---|---|---|
| requests, predictions | the model, or backbone that embedded | answered requests, their inputs |
| embedded_images, embedded_texts | (none) | inputs whose embedding was stored |
| worker_seconds | the kind of work | seconds in a trainer's hands, however the try ended |
| stored_bytes | what is stored | the most that an hourly look has seen |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Select, case, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.infra.database import now
from app.infra.orm import Base, UsageRow

Kind = Literal[
    "requests",
    "predictions",
    "embedded_images",
    "embedded_texts",
    "worker_seconds",
    "stored_bytes",
]
Whose = tuple[str, Kind, str]
"""Organisation, kind and subject."""
DAY_SECONDS = 86_400
_AT_ONCE = 500


def add(session: Session, amounts: Mapping[Whose, float], *, highest: bool = False) -> None:
    """Add to today's usage, by the database's clock; `highest` keeps the larger of the two."""
    day = int(now(session) // DAY_SECONDS)
    rows = [
        {"organisation_id": of, "day": day, "kind": kind, "subject": subject, "amount": amount}
        for (of, kind, subject), amount in sorted(amounts.items())
    ]
    for start in range(0, len(rows), _AT_ONCE):
        session.connection().execute(_upsert(session, highest), rows[start : start + _AT_ONCE])


def _upsert(session: Session, highest: bool) -> Any:
    table = Base.metadata.tables[UsageRow.__tablename__]
    insert: Any = sqlite.insert(table)
    if session.get_bind().dialect.name == "postgresql":
        insert = postgresql.insert(table)
    before, more = table.c.amount, insert.excluded.amount
    amount = case((before > more, before), else_=more) if highest else before + more
    keys = ["organisation_id", "day", "kind", "subject"]
    return insert.on_conflict_do_update(index_elements=keys, set_={"amount": amount})


@dataclass(frozen=True)
class Period:
    """Days since 1970-01-01, both included."""

    first: int
    last: int


def by_day(
    session: Session, period: Period, *, organisation_id: str, model: str | None = None
) -> Iterable[tuple[int, Kind, str, float]]:
    """Day, kind, subject and amount; of what is counted by model without subject, or one model's.

    Days come in their order.
    """
    of = UsageRow
    counted = of.kind.in_(("requests", "predictions"))
    subject = case((counted, ""), else_=of.subject).label("subject")
    mine = _within(period, of.day, of.kind, subject, func.sum(of.amount)).where(
        of.organisation_id == organisation_id
    )
    if model is not None:
        mine = mine.where(counted, of.subject == model)
    rows = session.execute(mine.group_by(of.day, of.kind, subject).order_by(of.day))
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def by_model(
    session: Session, period: Period, *, organisation_id: str, limit: int
) -> list[tuple[str, int, int]]:
    """Model, requests and predictions, of at most `limit` models: the most used first."""
    of = UsageRow
    asked = func.sum(case((of.kind == "requests", of.amount), else_=0))
    answered = func.sum(case((of.kind == "predictions", of.amount), else_=0))
    mine = _within(period, of.subject, asked, answered).where(
        of.organisation_id == organisation_id, of.kind.in_(("requests", "predictions"))
    )
    most_first = mine.group_by(of.subject).order_by(answered.desc(), of.subject)
    return [(row[0], int(row[1]), int(row[2])) for row in session.execute(most_first.limit(limit))]


def of_all(
    session: Session, period: Period, *, after: str | None, limit: int
) -> dict[str, list[tuple[int, Kind, str, float]]]:
    """What `by_day` tells, of at most `limit` organisations in the order of their names."""
    of = UsageRow
    names = _within(period, of.organisation_id).distinct().order_by(of.organisation_id)
    if after is not None:
        names = names.where(of.organisation_id > after)
    return {
        name: list(by_day(session, period, organisation_id=name))
        for name in session.scalars(names.limit(limit)).all()
    }


def _within(period: Period, *columns: Any) -> Select[Any]:
    return select(*columns).where(UsageRow.day >= period.first, UsageRow.day <= period.last)


def prune(session: Session, *, days: int, limit: int) -> int:
    """Drop some usage of more than so many days ago; 0 keeps all. How many."""
    if not days:
        return 0
    of = UsageRow
    before = int(now(session) // DAY_SECONDS) - days
    days_of = select(of.organisation_id, of.day).where(of.day < before).distinct().limit(limit)
    gone = session.execute(days_of).all()
    for organisation_id, day in gone:
        session.execute(delete(of).where(of.organisation_id == organisation_id, of.day == day))
    return len(gone)
