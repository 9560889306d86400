"""Feedback: what callers have said of predictions. Of one input the last word holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.infra.database import now
from app.infra.orm import DatasetVersionRow, FeedbackRow, LoggedPredictionRow, ModelRow
from app.infra.repositories.live import log
from app.infra.repositories.upserts import found_or_added, locked

SUPERSEDED = "superseded"
"""Why feedback is in no version: something newer was said of its input."""
SETTLED = (SUPERSEDED, "example_erased")
"""Why feedback will be in none, however often it is applied."""


def whose(organisation_id: str, *, alias: str, model_id: str | None) -> list[ColumnElement[bool]]:
    """Conditions: feedback given under an alias, on a model's answers, or both; `alias` empty: all
    that was said of the model."""
    found = [FeedbackRow.organisation_id == organisation_id]
    if alias:
        found.append(FeedbackRow.alias == alias)
    if model_id is not None:
        found.append(FeedbackRow.model_id == model_id)
    return found


def put(
    session: Session, subject: str, values: Mapping[str, Any], *, organisation_id: str
) -> tuple[FeedbackRow, str | None]:
    """The feedback on a subject, which is now this; and the file of inputs that it had before.

    An audited label holds against what is not: the row is then left as it is.
    """
    at, of = now(session), FeedbackRow
    mine = select(FeedbackRow).where(of.organisation_id == organisation_id, of.subject == subject)
    told = {**values, "applied": None, "updated_at": at}
    common = {"organisation_id": organisation_id, "subject": subject, "created_at": at}
    row, is_new = found_or_added(
        session,
        lambda: locked(session, mine),
        lambda: FeedbackRow(id=new_id("fb_"), **common, **told),
    )
    if is_new or (row.audited and not values["audited"]):
        return row, None
    former = row.content_key
    for name, value in told.items():
        setattr(row, name, value)
    session.flush()
    return row, former


def get(session: Session, feedback_id: str, *, organisation_id: str) -> FeedbackRow:
    """One. Raises not_found."""
    row = session.get(FeedbackRow, feedback_id)
    if row is None or row.organisation_id != organisation_id:
        raise missing()
    return row


def some(
    session: Session, feedback_ids: Sequence[str], *, organisation_id: str
) -> list[FeedbackRow]:
    """Those of these that are there still."""
    found: list[FeedbackRow] = []
    for at in range(0, len(feedback_ids), 500):
        statement = select(FeedbackRow).where(
            FeedbackRow.organisation_id == organisation_id,
            FeedbackRow.id.in_(feedback_ids[at : at + 500]),
        )
        found += session.scalars(statement)
    return found


def missing() -> HeadstartError:
    """The same answer for feedback that never was, is somebody else's or is on something else."""
    return HeadstartError("not_found", "there is no such feedback")


def listing(
    session: Session,
    which: Sequence[ColumnElement[bool]],
    *,
    audited: bool | None,
    after: str | None,
    limit: int,
    organisation_id: str,
) -> list[FeedbackRow]:
    """At most `limit`, newest first, those before `after`."""
    statement = select(FeedbackRow).where(FeedbackRow.organisation_id == organisation_id, *which)
    if audited is not None:
        statement = statement.where(FeedbackRow.audited.is_(audited))
    if after is not None:
        statement = statement.where(FeedbackRow.id < after)
    return list(session.scalars(statement.order_by(FeedbackRow.id.desc()).limit(limit)))


def remove(session: Session, row: FeedbackRow) -> list[str]:
    """Forget one; the file that it leaves."""
    key = row.content_key
    session.delete(row)
    session.flush()
    return log.needless(session, [key])


def said_otherwise(
    session: Session, gone: Sequence[FeedbackRow], *, organisation_id: str
) -> set[str]:
    """The inputs of these, by their sha256, that feedback which stays says a label of, too."""
    of, ids, found = FeedbackRow, {row.id for row in gone}, set[str]()
    wanted = sorted({row.sha256 for row in gone})
    for at in range(0, len(wanted), 500):
        statement = select(of.id, of.sha256).where(
            of.organisation_id == organisation_id,
            of.sha256.in_(wanted[at : at + 500]),
            *_says(audited_only=False),
        )
        found |= {sha256 for one, sha256 in session.execute(statement) if one not in ids}
    return found


def labelled(
    session: Session,
    *,
    organisation_id: str,
    alias: str,
    model_id: str | None,
    audited_only: bool = False,
) -> Sequence[FeedbackRow]:
    """Those that say what an input is, oldest first."""
    of = FeedbackRow
    statement = select(FeedbackRow).where(
        *whose(organisation_id, alias=alias, model_id=model_id), *_says(audited_only)
    )
    return session.scalars(statement.order_by(of.updated_at, of.id)).all()


def _says(audited_only: bool) -> list[ColumnElement[bool]]:
    """Conditions: feedback that says a label, or labels."""
    of = FeedbackRow
    says = or_(of.label.is_not(None), of.labels.is_not(None))
    return [says, of.audited.is_(True)] if audited_only else [says]


def to_apply(audited_only: bool = False) -> list[ColumnElement[bool]]:
    """Conditions: feedback whose label no dataset version has yet, and one could have."""
    of = FeedbackRow
    return [*_says(audited_only), of.content_key.is_not(None), of.applied.is_(None)]


def pending(session: Session, organisation_id: str, alias: str, audited_only: bool = False) -> int:
    """How many labels an alias was told that no dataset version has yet, and that one could have:
    their inputs are kept."""
    of = FeedbackRow
    statement = select(func.count(func.distinct(of.sha256))).where(
        FeedbackRow.organisation_id == organisation_id,
        of.alias == alias,
        *to_apply(audited_only),
    )
    return int(session.scalar(statement) or 0)


def applied(
    session: Session, row: FeedbackRow, told: Mapping[str, Any], *, organisation_id: str
) -> None:
    """Note what became of feedback as it was read, unless something else was said meanwhile.

    `also` names the other datasets that have it.
    """
    former = row.applied or {}
    also = dict(former.get("also", {}))
    if former.get("version") is not None:
        also[former["dataset"]] = former["version"]
    also.pop(told["dataset"], None)
    session.execute(
        update(FeedbackRow)
        .where(
            FeedbackRow.organisation_id == organisation_id,
            FeedbackRow.id == row.id,
            FeedbackRow.updated_at == row.updated_at,
        )
        .values(applied={**told, **({"also": also} if also else {})})
    )


def given_in(
    session: Session, dataset_id: str, *, sha256s: Collection[str], organisation_id: str
) -> dict[tuple[str, int], float]:
    """When feedback on these inputs was given, by input and the version that was made of it."""
    found: dict[tuple[str, int], float] = {}
    wanted = sorted(sha256s)
    for at in range(0, len(wanted), 500):
        statement = select(FeedbackRow).where(
            FeedbackRow.organisation_id == organisation_id,
            FeedbackRow.sha256.in_(wanted[at : at + 500]),
            FeedbackRow.applied.is_not(None),
        )
        for row in session.scalars(statement):
            told = row.applied or {}
            if told["dataset"] == dataset_id and told["version"] is not None:
                key = (row.sha256, told["version"])
                found[key] = max(row.updated_at, found.get(key, 0.0))
    return found


def versions_since(
    session: Session, latest: DatasetVersionRow, at: float
) -> list[DatasetVersionRow]:
    """The version that was the latest at a time, if there was one, and all that came after it."""
    of = DatasetVersionRow
    mine = select(DatasetVersionRow).where(
        DatasetVersionRow.organisation_id == latest.organisation_id,
        of.dataset_id == latest.dataset_id,
        of.number <= latest.number,
    )
    then = session.scalars(mine.where(of.created_at <= at).order_by(of.number.desc()).limit(1))
    first = then.first()
    after = mine.where(of.number >= (first.number if first is not None else 0))
    return list(session.scalars(after.order_by(of.number)))


def meant_at(
    session: Session, said: Sequence[FeedbackRow], *, organisation_id: str
) -> dict[str, float]:
    """By feedback, when its labels were called as it calls them: when it was given, and of what
    agrees with a model when that was fitted, if it is there."""
    agreed = {row.model_id for row in said if row.correct}
    mine = select(ModelRow.id, ModelRow.created_at).where(
        ModelRow.organisation_id == organisation_id, ModelRow.id.in_(agreed)
    )
    fitted = {one.id: one.created_at for one in session.execute(mine)}
    times = {row.id: fitted.get(row.model_id) if row.correct else None for row in said}
    return {row.id: min(row.updated_at, times[row.id] or row.updated_at) for row in said}


def undrawn(
    session: Session, which: Sequence[ColumnElement[bool]], *, limit: int, organisation_id: str
) -> list[tuple[LoggedPredictionRow, FeedbackRow | None]]:
    """Logged inputs that no audited feedback is on, in the order of their lots; what volunteers
    have said of them does not keep them out: they would be missed where they tell of errors.
    """
    said = aliased(FeedbackRow)
    of = LoggedPredictionRow
    statement = (
        select(LoggedPredictionRow, said)
        .outerjoin(said, _same(said))
        .where(of.organisation_id == organisation_id, *which, of.expires_at > now(session))
        .where(or_(said.id.is_(None), said.audited.is_(False)))
        .order_by(of.lot, of.id)
        .limit(limit)
    )
    return [(row, found) for row, found in session.execute(statement)]


def unsaid(
    session: Session, *, organisation_id: str, alias: str, model_id: str, limit: int
) -> list[LoggedPredictionRow]:
    """A model's latest logged inputs that have an embedding and no feedback, one a content."""
    said, of = aliased(FeedbackRow), LoggedPredictionRow
    own = None if alias else model_id
    known = select(FeedbackRow.sha256).where(*whose(organisation_id, alias=alias, model_id=own))
    which = log.whose(organisation_id, alias=alias, model_id=model_id)
    statement = (
        select(LoggedPredictionRow)
        .outerjoin(said, _same(said))
        .where(*which, of.expires_at > now(session))
        .where(said.id.is_(None), of.embedding.is_not(None), of.sha256.not_in(known))
        .order_by(of.id.desc())
        .limit(limit)
    )
    found = {row.sha256: row for row in reversed(session.scalars(statement).all())}
    return list(found.values())


def _same(said: Any) -> ColumnElement[bool]:
    of = LoggedPredictionRow
    return and_(
        said.organisation_id == of.organisation_id,
        said.prediction_id == of.prediction_id,
        said.place == of.place,
    )


def audited(
    session: Session, *, organisation_id: str, alias: str, model_id: str
) -> list[FeedbackRow]:
    """Feedback on inputs that were drawn at random, oldest first."""
    which = whose(organisation_id, alias=alias, model_id=model_id)
    statement = select(FeedbackRow).where(*which, FeedbackRow.audited)
    return list(session.scalars(statement.order_by(FeedbackRow.id)))


def volunteered(session: Session, *, organisation_id: str, alias: str, model_id: str) -> int:
    """How much feedback was not drawn."""
    which = whose(organisation_id, alias=alias, model_id=model_id)
    statement = select(func.count()).select_from(FeedbackRow).where(*which, ~FeedbackRow.audited)
    return int(session.scalar(statement) or 0)
