"""Forgetting all that was written down of an alias or a model, when it is deleted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from app.infra.orm import (
    AliasRow,
    DriftReferenceRow,
    DriftWindowRow,
    FeedbackRow,
    LabellingProjectRow,
    ShadowAgreementRow,
)
from app.infra.repositories import deletions
from app.infra.repositories.deletions import Doomed
from app.infra.repositories.live import log

_DRIFT: tuple[Any, ...] = (DriftReferenceRow, DriftWindowRow)


@dataclass(frozen=True)
class Forgotten:
    """How many rows of what are gone, and the files that nothing names any more."""

    rows: dict[str, int]
    files: list[str]

    def counting(self, logged: int) -> dict[str, int]:
        """The rows, and so many inputs of the log that went before them."""
        return {**self.rows, "logged_predictions": self.rows["logged_predictions"] + logged}


def end_log(session: Session, alias: AliasRow) -> Forgotten:
    """Delete the alias's log and what was measured on it."""
    for of in _DRIFT:
        session.execute(
            delete(of).where(of.organisation_id == alias.organisation_id, of.alias == alias.name)
        )
    logged, files = log.forget_alias(session, alias)
    return Forgotten({"logged_predictions": logged}, files)


def forget_alias(session: Session, alias: AliasRow) -> Forgotten:
    """Delete the alias's log, feedback, drift, labelling projects and what shadows agreed to."""
    organisation_id, name = alias.organisation_id, alias.name
    of: Any
    for of in (LabellingProjectRow, ShadowAgreementRow):
        session.execute(delete(of).where(of.organisation_id == organisation_id, of.alias == name))
    of = FeedbackRow
    keys = session.scalars(
        delete(of)
        .where(of.organisation_id == organisation_id, of.alias == name)
        .returning(of.content_key)
    ).all()
    ended = end_log(session, alias)
    rows = {**ended.rows, "feedback": len(keys)}
    return Forgotten(rows, [*ended.files, *log.needless(session, keys)])


def forget_model(session: Session, *, organisation_id: str, model_id: str) -> Forgotten:
    """Delete the model's drift, feedback that was given of it by its id, and how often it agreed as
    a shadow or with one.

    Feedback given under an alias stays: what it labels is true of any model. The log goes later: it
    is what the deletion of the model has left to do (`app.infra.erasure`).
    """
    for of in _DRIFT:
        session.execute(
            delete(of).where(of.organisation_id == organisation_id, of.model_id == model_id)
        )
    agreed = ShadowAgreementRow
    session.execute(
        delete(agreed).where(
            agreed.organisation_id == organisation_id,
            or_(agreed.model_id == model_id, agreed.shadow_id == model_id),
        )
    )
    own = select(FeedbackRow.id).where(
        FeedbackRow.organisation_id == organisation_id,
        FeedbackRow.model_id == model_id,
        FeedbackRow.alias == "",
    )
    keys = session.scalars(
        delete(FeedbackRow).where(FeedbackRow.id.in_(own)).returning(FeedbackRow.content_key)
    ).all()
    rows = {"logged_predictions": 0, "feedback": len(keys)}
    return Forgotten(rows, log.needless(session, keys))


def leave_log(session: Session, *, organisation_id: str, model_id: str) -> None:
    """Have the log of a model that goes with something else go by a deletion of its own, some at a
    time, if it has one.
    """
    which = log.whose(organisation_id, alias="", model_id=model_id)
    if log.has_more(session, which, than=0):
        doomed = Doomed(object=deletions.MODEL, id=model_id)
        deletions.begin(session, doomed, organisation_id=organisation_id)
