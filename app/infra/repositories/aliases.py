"""Aliases: stable names that point to one model each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import delete as delete_from
from sqlalchemy import or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.infra.database import now
from app.infra.orm import AliasRow, ModelRow


def find(session: Session, *, organisation_id: str, name: str, lock: bool = False) -> AliasRow:
    """The alias; locked until the transaction ends, if wished: whoever holds it has written what
    is deleted with it. Raises not_found.
    """
    row = session.get(AliasRow, (organisation_id, name), with_for_update=lock or None)
    if row is None:
        raise HeadstartError("not_found", "there is no such alias", param="name")
    return row


def listing(
    session: Session, *, organisation_id: str, after: str | None, limit: int
) -> list[AliasRow]:
    """At most `limit` aliases in the order of their names, those after `after`."""
    statement = select(AliasRow).where(AliasRow.organisation_id == organisation_id)
    if after is not None:
        statement = statement.where(AliasRow.name > after)
    return list(session.scalars(statement.order_by(AliasRow.name).limit(limit)))


def ending(session: Session, end: str, *, organisation_id: str) -> Sequence[AliasRow]:
    """The organisation's aliases whose names end so, in the order of their names."""
    statement = select(AliasRow).where(
        AliasRow.organisation_id == organisation_id, AliasRow.name.endswith(end, autoescape=True)
    )
    return session.scalars(statement.order_by(AliasRow.name)).all()


def names_of(
    session: Session, model_ids: Sequence[str], *, organisation_id: str
) -> dict[str, list[str]]:
    """The aliases that point to each of these models, in the order of their names."""
    names: dict[str, list[str]] = {model_id: [] for model_id in model_ids}
    statement = select(AliasRow.model_id, AliasRow.name).where(
        AliasRow.organisation_id == organisation_id
    )
    if len(model_ids) == 1:
        statement = statement.where(AliasRow.model_id == model_ids[0])
    for model_id, name in session.execute(statement.order_by(AliasRow.name)):
        if model_id in names:
            names[model_id].append(name)
    return names


def beside(session: Session, model_id: str, *, organisation_id: str) -> str | None:
    """An alias of which this model answers a part, or unseen; None where there is none."""
    statement = select(AliasRow).where(
        AliasRow.organisation_id == organisation_id,
        or_(AliasRow.split.is_not(None), AliasRow.shadow == model_id),
    )
    for row in session.scalars(statement):
        shares = {share["model"] for share in row.split or []}
        if model_id in {*shares, row.shadow}:
            return row.name
    return None


def point(
    session: Session, *, organisation_id: str, name: str, model_id: str, pinned: bool = False
) -> AliasRow:
    """Let `name` mean the model, and it alone, from this commit on. Raises not_found for an
    unknown model.

    The model's row is locked, so that it cannot be deleted between the look and the commit.
    """
    hold(session, [model_id], organisation_id=organisation_id)
    insert: Any = sqlite.insert(AliasRow)
    if session.get_bind().dialect.name == "postgresql":
        insert = postgresql.insert(AliasRow)
    values = {
        "model_id": model_id,
        "pinned": pinned,
        "split": None,
        "shadow": None,
        "updated_at": now(session),
    }
    session.execute(
        insert.values(organisation_id=organisation_id, name=name, **values).on_conflict_do_update(
            index_elements=["organisation_id", "name"], set_=values
        )
    )
    return session.get_one(AliasRow, (organisation_id, name), populate_existing=True)


def lock_all(session: Session, *, organisation_id: str) -> None:
    """Lock the organisation's aliases until the commit."""
    wanted = select(AliasRow.name).where(AliasRow.organisation_id == organisation_id)
    session.execute(wanted.order_by(AliasRow.name).with_for_update()).all()


def hold(session: Session, models: Iterable[str], *, organisation_id: str) -> None:
    """Lock models until the commit, so that none is deleted that an alias is about to name. Raises
    not_found.
    """
    wanted = set(models)
    owned = select(ModelRow.id).where(
        ModelRow.organisation_id == organisation_id, ModelRow.id.in_(wanted)
    )
    if set(session.scalars(owned.order_by(ModelRow.id).with_for_update())) != wanted:
        raise HeadstartError("not_found", "there is no such model", param="model")


def delete(session: Session, *, organisation_id: str, name: str) -> None:
    """Forget the alias; its model stays. Raises not_found."""
    gone = session.scalars(
        delete_from(AliasRow)
        .where(AliasRow.organisation_id == organisation_id, AliasRow.name == name)
        .returning(AliasRow.name)
    ).one_or_none()
    if gone is None:
        raise HeadstartError("not_found", "there is no such alias", param="name")
