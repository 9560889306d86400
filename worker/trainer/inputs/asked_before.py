"""What an alias's gate has asked before, as far as it is still there: a copy of it is not fresh."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.manifest import Example
from app.core.promotion import spending
from app.infra.orm import DatasetVersionRow, PromotionRow
from worker.trainer.attempt import Attempt
from worker.trainer.inputs.held_out import Contest

_LOOKS = 50
"""Promotions whose held-out sets are looked up, the latest."""
_VERSIONS = 10
"""Versions whose examples are read."""


def examples(attempt: Attempt, asked: Contest, before: Mapping[str, int]) -> list[Example]:
    """The examples of earlier looks whose marks are in `before`, each content once."""
    if not before:
        return []
    versions = attempt.read(lambda session: _versions(session, asked.promotion))
    alias = asked.promotion.alias
    found = {
        one.content: one
        for version in versions
        for one in attempt.examples(version)
        if spending.mark(alias, one.content) in before
    }
    return list(found.values())


def _versions(session: Session, promotion: PromotionRow) -> list[DatasetVersionRow]:
    """The versions that the alias's latest promotions were decided on, as far as they are there."""
    earlier = select(PromotionRow.evidence).where(
        PromotionRow.organisation_id == promotion.organisation_id,
        PromotionRow.alias == promotion.alias,
        PromotionRow.status == "decided",
    )
    told = session.scalars(earlier.order_by(PromotionRow.id.desc()).limit(_LOOKS))
    held = [(evidence or {}).get("held_out", {}) for evidence in told]
    named = dict.fromkeys((one.get("dataset"), one.get("version")) for one in held)
    found = [
        session.scalars(
            select(DatasetVersionRow).where(
                DatasetVersionRow.organisation_id == promotion.organisation_id,
                DatasetVersionRow.dataset_id == dataset_id,
                DatasetVersionRow.number == number,
            )
        ).one_or_none()
        for dataset_id, number in list(named)[:_VERSIONS]
        if dataset_id is not None
    ]
    return [version for version in found if version is not None]
