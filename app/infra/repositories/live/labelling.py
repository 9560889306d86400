"""Projects of labelling tools: where they are, and whether their annotations are to be pulled."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from random import sample
from typing import Any, cast
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, CursorResult, or_, select, update
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.infra.database import now
from app.infra.orm import FeedbackRow, LabellingProjectRow
from app.infra.repositories import sealing
from app.infra.repositories.upserts import found_or_added, locked
from app.infra.vault import Vault

SOURCE = "label_studio"
_DECIDE = ("hostname", "token", "label_config")


def put(
    session: Session, vault: Vault, *, organisation_id: str, alias: str, project: str, **values: Any
) -> LabellingProjectRow:
    """The project as it is said to be now. Raises secrets_key_missing for a token."""
    at = now(session)
    of = LabellingProjectRow
    mine = select(LabellingProjectRow).where(
        of.organisation_id == organisation_id, of.alias == alias, of.project == project
    )
    row, _ = found_or_added(
        session,
        lambda: locked(session, mine),
        lambda: LabellingProjectRow(
            organisation_id=organisation_id, alias=alias, project=project, hostname="", token=None,
            label_config="", pending=False, not_before=None, told={}, created_at=at, updated_at=at,
        ),
    )  # fmt: skip
    if values.get("hostname") and urlsplit(values["hostname"])[:2] != urlsplit(row.hostname)[:2]:
        row.token = None  # a token is its own host's, and no other's to read
    told = {name: value for name, value in values.items() if value is not None}
    if "token" in told:
        told["token"] = _token(session, vault, told["token"], row)
    if any(name in told and told[name] != getattr(row, name) for name in _DECIDE):
        row.not_before = None  # what made a pull fail may be mended
    for name, value in told.items():
        setattr(row, name, value)
    row.updated_at = at
    session.flush()
    return row


def _token(session: Session, vault: Vault, plain: str, row: LabellingProjectRow) -> str:
    """The token as the row keeps it: what is there already, where that is the same."""
    if row.token is not None:
        with suppress(HeadstartError):  # one that cannot be opened is replaced
            if sealing.told(vault, row.token, row) == plain:
                return row.token
    return sealing.kept(session, vault, plain, row)


def find(
    session: Session, *, organisation_id: str, alias: str, project: str
) -> LabellingProjectRow | None:
    """The project, if it was set up."""
    return session.get(LabellingProjectRow, (organisation_id, alias, project))


def latest(session: Session, *, organisation_id: str, alias: str) -> LabellingProjectRow | None:
    """The project that was set up last."""
    of = LabellingProjectRow
    statement = select(LabellingProjectRow).where(
        of.organisation_id == organisation_id, of.alias == alias
    )
    return session.scalars(statement.order_by(of.updated_at.desc()).limit(1)).first()


def _is_due(at: float) -> ColumnElement[bool]:
    of = LabellingProjectRow
    return or_(of.pending & of.not_before.is_(None), of.not_before <= at)


def is_any_due(session: Session) -> bool:
    """Whether a project's annotations are to be pulled now."""
    statement = select(LabellingProjectRow.project).where(_is_due(now(session)))
    return session.scalars(statement.limit(1)).first() is not None


def claim(
    session: Session, *, most: int, busy: Collection[str], seconds: float
) -> list[LabellingProjectRow]:
    """At most one project an organisation that is to be pulled, of those that are not `busy`. Who
    comes first is drawn, so that it does not matter how many projects anybody has.

    Nobody else takes it for so many seconds; then it is anybody's again, whatever became of who
    took it.
    """
    of, at = LabellingProjectRow, now(session)
    waiting = select(of.organisation_id).where(_is_due(at), of.organisation_id.not_in(busy))
    turns = session.scalars(waiting.distinct().order_by(of.organisation_id)).all()
    taken = []
    for tenant in sample(turns, min(most, len(turns))):
        mine = select(of).where(_is_due(at), of.organisation_id == tenant)
        row = session.scalars(mine.order_by(of.updated_at).limit(1)).first()
        if row is None:
            continue
        statement = update(of).where(_of(row), _is_due(at))
        statement = statement.values(pending=False, not_before=at + seconds)
        if cast(CursorResult[Any], session.execute(statement)).rowcount:
            session.refresh(row)
            taken.append(row)
    return taken


def hold(session: Session, row: LabellingProjectRow) -> None:
    """Hold a claimed project until the commit. Raises not_found where it is gone or set up anew, or
    somebody else's by now: what it has told is not to be written down.
    """
    of = LabellingProjectRow
    held = session.execute(
        select(of.not_before).where(_of(row)).with_for_update(read=True)
    ).one_or_none()
    if held is None or held[0] != row.not_before:
        raise HeadstartError("not_found", "the project is not connected as it was: pull it again")


def release(
    session: Session, row: LabellingProjectRow, told: dict[str, Any], *, again_in: float | None
) -> None:
    """A claimed project's pull is over: what it found, and in how many seconds it is repeated."""
    of = LabellingProjectRow
    fresh = session.scalars(select(of).where(_of(row)).with_for_update()).first()
    if fresh is None or fresh.not_before != row.not_before:
        return
    fresh.not_before = None if again_in is None else now(session) + again_in
    asked = fresh.pending and fresh.told.get("train")
    fresh.told = {**told, "train": True} if asked else told


def _of(row: LabellingProjectRow) -> ColumnElement[bool]:
    of = LabellingProjectRow
    return (
        (of.organisation_id == row.organisation_id)
        & (of.alias == row.alias)
        & (of.project == row.project)
    )


def said(
    session: Session, row: LabellingProjectRow, prefix: str
) -> dict[str, tuple[str | None, list[str] | None, str]]:
    """What was taken from the project before: label, labels and feedback's id, by subject."""
    of = FeedbackRow
    found = session.execute(
        select(of.subject, of.label, of.labels, of.id).where(
            of.organisation_id == row.organisation_id,
            of.alias == row.alias,
            of.source == SOURCE,
            of.subject.startswith(prefix, autoescape=True),
        )
    )
    return {subject: (label, labels, feedback_id) for subject, label, labels, feedback_id in found}
