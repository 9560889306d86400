"""Models: what is registered, which of them a name means, and how one goes."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from app.core.errors import HeadstartError
from app.infra.orm import AliasRow, ModelRow
from app.infra.repositories import aliases, batches, exports


@dataclass(frozen=True, slots=True)
class Resolved:
    """The immutable model that an id or an alias means now."""

    id: str
    backbone: str
    modality: str
    artifact: str
    sha256: str


def resolve(session: Session, *, organisation_id: str, name: str) -> Resolved:
    """The model that the id or alias `name` means, in one query. Raises not_found."""
    wanted = select(
        ModelRow.id, ModelRow.backbone, ModelRow.modality, ModelRow.artifact, ModelRow.sha256
    ).where(ModelRow.organisation_id == organisation_id)
    if is_model_id(name):
        wanted = wanted.where(ModelRow.id == name)
    else:
        wanted = wanted.join(AliasRow, AliasRow.model_id == ModelRow.id).where(
            AliasRow.organisation_id == organisation_id, AliasRow.name == name
        )
    row = session.execute(wanted).one_or_none()
    if row is None:
        raise missing()
    return Resolved(*row)


def is_model_id(name: str) -> bool:
    """Whether `name` can only be a model's id: no alias has a colon."""
    return ":" in name


def find(session: Session, *, organisation_id: str, name: str) -> ModelRow:
    """The whole row of the model that the id or alias `name` means. Raises not_found."""
    resolved = resolve(session, organisation_id=organisation_id, name=name)
    return session.get_one(ModelRow, resolved.id)


def listing(session: Session, *, organisation_id: str) -> list[ModelRow]:
    """Every model of the organisation, newest first, without its card and evaluation."""
    statement = (
        select(ModelRow)
        .where(ModelRow.organisation_id == organisation_id)
        .order_by(ModelRow.created_at.desc(), ModelRow.id.desc())
        .options(defer(ModelRow.card), defer(ModelRow.evaluation))
    )
    return list(session.scalars(statement))


def delete(session: Session, *, organisation_id: str, model_id: str) -> str:
    """Forget a model; answers the prefix of its artifacts, which are the caller's to remove.

    Raises not_found, or in_use while an alias points to it or a batch predicts with it.
    """
    statement = (
        select(ModelRow)
        .where(ModelRow.organisation_id == organisation_id, ModelRow.id == model_id)
        .with_for_update()
    )
    row = session.scalars(statement).one_or_none()
    if row is None:
        raise missing()
    names = aliases.names_of(session, [model_id], organisation_id=organisation_id)[model_id]
    if names:
        raise HeadstartError("in_use", f"the alias {names[0]} points to this model", param="model")
    beside = aliases.beside(session, model_id, organisation_id=organisation_id)
    if beside is not None:
        why = f"the alias {beside} has this model answer beside its own"
        raise HeadstartError("in_use", why, param="model")
    batches.refuse_if_used(session, model_id=model_id)
    exports.forget(session, row.artifact)
    session.delete(row)
    session.flush()
    return row.artifact


def missing() -> HeadstartError:
    """The same answer for a model that never was and for somebody else's."""
    return HeadstartError("not_found", "there is no such model", param="model")
