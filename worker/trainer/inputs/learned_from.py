"""What a model has seen: its own version, and what else it was learned from."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.infra.orm import DatasetVersionRow, ModelRow

CARD = "also_learned_from"
"""In a model's card: the versions of other datasets that its start was learned from."""


def named(versions: list[DatasetVersionRow]) -> dict[str, list[dict[str, str | int]]]:
    """What a card says of them; nothing, where there are none."""
    told: list[dict[str, str | int]] = [
        {"id": one.dataset_id, "version": one.number, "manifest_sha256": one.manifest_sha256}
        for one in versions
    ]
    return {CARD: told} if told else {}


def versions_of(session: Session, model: ModelRow) -> list[DatasetVersionRow] | None:
    """All that a model was learned from, its own version first; None where one of them is gone."""
    own = session.get(DatasetVersionRow, model.version_id) if model.version_id else None
    found = [own, *(_version(session, model, told) for told in model.card.get(CARD, []))]
    there = [one for one in found if one is not None]
    return there if len(there) == len(found) else None


def _version(
    session: Session, model: ModelRow, told: dict[str, str | int]
) -> DatasetVersionRow | None:
    statement = select(DatasetVersionRow).where(
        DatasetVersionRow.organisation_id == model.organisation_id,
        DatasetVersionRow.dataset_id == told["id"],
        DatasetVersionRow.number == told["version"],
    )
    return session.scalars(statement).one_or_none()
