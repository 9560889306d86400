"""Models: what is registered, which of them a name means, and how one goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from app.core.errors import HeadstartError
from app.infra.orm import AliasRow, DatasetRow, DatasetVersionRow, JobRow, ModelRow
from app.infra.repositories import aliases, batches, exports

_FEW = 100
"""Models whose versions are named in a query; the versions of more are all read."""


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
    row = session.get(ModelRow, resolved.id)
    if row is None:  # deleted since it was resolved
        raise missing()
    return row


def listing(session: Session, *, organisation_id: str) -> list[ModelRow]:
    """Every model of the organisation, newest first, without its card and evaluation."""
    statement = (
        select(ModelRow)
        .where(ModelRow.organisation_id == organisation_id)
        .order_by(ModelRow.created_at.desc(), ModelRow.id.desc())
        .options(defer(ModelRow.card), defer(ModelRow.evaluation))
    )
    return list(session.scalars(statement))


@dataclass(frozen=True, slots=True)
class Origin:
    """The dataset's version that a model was made of."""

    dataset_id: str
    name: str
    version: int


def origins(
    session: Session, rows: Sequence[ModelRow], *, organisation_id: str
) -> dict[str | None, Origin]:
    """By the models' `version_id`; without those whose dataset is gone."""
    version, dataset = DatasetVersionRow, DatasetRow
    wanted = (
        select(version.id, dataset.id, dataset.name, version.number)
        .join(dataset, dataset.id == version.dataset_id)
        .where(version.organisation_id == organisation_id)
    )
    if len(rows) < _FEW:
        wanted = wanted.where(version.id.in_([row.version_id for row in rows]))
    return {row[0]: Origin(*row[1:]) for row in session.execute(wanted)}


def judged_on(session: Session, row: ModelRow) -> Origin | None:
    """The version that holds the examples a model was judged on; None where it is gone.

    That of its job's validation file, where it had one.
    """
    job = session.get(JobRow, row.job_id) if row.job_id is not None else None
    version_id = job.validation_version_id if job is not None else None
    version = session.get(DatasetVersionRow, version_id or row.version_id)
    dataset = session.get(DatasetRow, version.dataset_id) if version is not None else None
    if version is None or dataset is None:
        return None
    return Origin(dataset.id, dataset.name, version.number)


def delete(session: Session, *, organisation_id: str, model_id: str) -> str:
    """Forget a model; answers the prefix of its artifacts, which are the caller's to remove.

    Raises not_found, or in_use while an alias points to it or a batch predicts with it.
    """
    row = _deletable(session, organisation_id=organisation_id, model_id=model_id)
    exports.forget(session, row.artifact)
    session.delete(row)
    session.flush()
    return row.artifact


def _deletable(session: Session, *, organisation_id: str, model_id: str) -> ModelRow:
    """A model that nobody uses, held so until the commit. Raises as `delete` does."""
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
    return row


def width_on(session: Session, backbone: str) -> int | None:
    """Numbers of a backbone's embedding, by the latest model on it, whoever's it is."""
    latest = select(ModelRow.card).where(ModelRow.backbone == backbone)
    card = session.scalar(latest.order_by(ModelRow.created_at.desc()).limit(1)) or {}
    width = card.get("backbone", {}).get("dim")
    return width if isinstance(width, int) else None


def missing() -> HeadstartError:
    """The same answer for a model that never was and for somebody else's."""
    return HeadstartError("not_found", "there is no such model", param="model")
