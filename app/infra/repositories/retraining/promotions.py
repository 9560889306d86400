"""Promotions: asked for in one transaction, decided in another, under the fence of their work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.promotion import spending
from app.core.promotion.gate import Decision, PromotionGate, metric_of
from app.infra.database import now
from app.infra.orm import AliasRow, AliasWearRow, ModelRow, PromotionRow
from app.infra.repositories import datasets, work
from app.infra.repositories.retraining import moves
from app.infra.repositories.retraining.moves import Move
from app.infra.repositories.upserts import found_or_added, locked

KIND = "promote"


class MovedError(Exception):
    """The alias or what it has asked is not what was compared any more: compare again."""


@dataclass(frozen=True, kw_only=True)
class NewPromotion:
    """What is asked for; `actor` is a key's or a hook's id, `run_id` of the hook's run."""

    alias: str
    candidate: str
    gate: PromotionGate
    actor: str
    force: bool = False
    note: str | None = None
    run_id: str | None = None


def ask(session: Session, new: NewPromotion, *, organisation_id: str) -> PromotionRow:
    """A new promotion, decided at once where it is forced, else the work that will decide it.

    Raises not_found, modality_mismatch, label_mode_mismatch, dataset_failed, invalid_value.
    """
    candidate = _model(session, new.candidate, organisation_id)
    metric_of(new.gate, several=candidate.label_mode == "multi_label")
    alias = session.get(AliasRow, (organisation_id, new.alias), populate_existing=True)
    if alias is not None and alias.model_id == candidate.id:
        why = f"{new.alias} means this model already"
        raise HeadstartError("invalid_value", why, param="candidate")
    if alias is not None:
        _check_kind(candidate, _model(session, alias.model_id, organisation_id))
    row = PromotionRow(
        id=new_id("prom_"),
        organisation_id=organisation_id,
        alias=new.alias,
        candidate=candidate.id,
        incumbent=alias.model_id if alias is not None else None,
        gate=new.gate.model_dump(),
        forced=new.force,
        status="waiting",
        note=new.note,
        actor=new.actor,
        run_id=new.run_id,
        created_at=now(session),
    )
    session.add(row)
    session.flush()
    if new.force:
        conclude(session, row, Decision("promoted", f"forced: {new.note or 'no reason given'}"))
    else:
        _queue(session, row, new.gate, candidate)
    return row


def _model(session: Session, model_id: str, organisation_id: str) -> ModelRow:
    statement = select(ModelRow).where(
        ModelRow.organisation_id == organisation_id, ModelRow.id == model_id
    )
    row = session.scalars(statement).one_or_none()
    if row is None:
        raise HeadstartError("not_found", "there is no such model", param="candidate")
    return row


def _check_kind(candidate: ModelRow, incumbent: ModelRow) -> None:
    if candidate.modality != incumbent.modality:
        why = f"the candidate reads {candidate.modality}, the incumbent {incumbent.modality}"
        raise HeadstartError("modality_mismatch", why, param="candidate")
    if candidate.label_mode != incumbent.label_mode:
        why = f"the candidate is {candidate.label_mode}, the incumbent {incumbent.label_mode}"
        raise HeadstartError("label_mode_mismatch", why, param="candidate")


def _queue(session: Session, row: PromotionRow, gate: PromotionGate, candidate: ModelRow) -> None:
    payload: dict[str, Any] = {"promotion": row.id, "version": None}
    if gate.evaluation_set is not None:
        kind = (candidate.modality, candidate.label_mode)
        pinned = pin(session, gate.evaluation_set, kind, row.organisation_id)
        payload["version"] = pinned.version.id
    work.add(
        session,
        KIND,
        organisation_id=row.organisation_id,
        payload=payload,
        backbone=candidate.backbone,
    )
    session.flush()


def pin(
    session: Session, dataset_id: str, kind: tuple[str, str], organisation_id: str
) -> datasets.DatasetSnapshot:
    """The evaluation set at its latest version, for models of this modality and label mode.

    Raises not_found, modality_mismatch, label_mode_mismatch, dataset_failed, each naming the gate's
    field.
    """
    modality, mode = kind
    param = "gate.evaluation_set"
    try:
        found = datasets.pin(session, dataset_id, organisation_id=organisation_id)
    except HeadstartError as error:
        raise HeadstartError(error.code, error.message, param=param) from error
    if found.dataset.modality != modality:
        why = f"the model reads {modality}, the dataset holds {found.dataset.modality}"
        raise HeadstartError("modality_mismatch", why, param=param)
    if found.dataset.label_mode != mode:
        why = f"the model is {mode}, the dataset {found.dataset.label_mode}"
        raise HeadstartError("label_mode_mismatch", why, param=param)
    if found.version.status == "failed":
        raise HeadstartError("dataset_failed", "the dataset has failed", param=param)
    return found


def get(session: Session, promotion_id: str, *, organisation_id: str, alias: str) -> PromotionRow:
    """One promotion of an alias. Raises not_found."""
    row = session.get(PromotionRow, promotion_id, populate_existing=True)
    if row is None or (row.organisation_id, row.alias) != (organisation_id, alias):
        raise HeadstartError("not_found", "there is no such promotion")
    return row


def listing(
    session: Session, *, organisation_id: str, alias: str, after: str | None, limit: int
) -> list[PromotionRow]:
    """At most `limit` promotions of an alias, newest first, those before `after`."""
    statement = select(PromotionRow).where(
        PromotionRow.organisation_id == organisation_id, PromotionRow.alias == alias
    )
    if after is not None:
        statement = statement.where(PromotionRow.id < after)
    return list(session.scalars(statement.order_by(PromotionRow.id.desc()).limit(limit)))


def lock(session: Session, promotion_id: str) -> PromotionRow | None:
    """The promotion's row, locked until the transaction ends; None where it is gone."""
    statement = select(PromotionRow).where(PromotionRow.id == promotion_id).with_for_update()
    return session.execute(statement, execution_options={"populate_existing": True}).scalar()


def asked(session: Session, *, organisation_id: str, alias: str) -> dict[str, int]:
    """How often the alias has asked each held-out example, by `spending.mark`."""
    row = session.get(AliasWearRow, (organisation_id, alias), populate_existing=True)
    return dict(row.asked) if row is not None else {}


def wear(session: Session, row: PromotionRow, marks: Sequence[str], before: dict[str, int]) -> None:
    """Remember one more look at these examples. Raises MovedError where somebody else looked."""
    mine = select(AliasWearRow).where(
        AliasWearRow.organisation_id == row.organisation_id, AliasWearRow.alias == row.alias
    )
    worn, _ = found_or_added(
        session,
        lambda: locked(session, mine),
        lambda: AliasWearRow(organisation_id=row.organisation_id, alias=row.alias, asked={}),
    )
    if worn.asked != before:
        raise MovedError
    worn.asked = spending.ask(marks, before)


def conclude(session: Session, row: PromotionRow, decision: Decision) -> None:
    """Write the verdict down, and move the alias where that is what it says.

    Raises MovedError where the alias does not mean the incumbent any more.
    """
    alias = session.scalars(
        select(AliasRow)
        .where(AliasRow.organisation_id == row.organisation_id, AliasRow.name == row.alias)
        .with_for_update()
    ).one_or_none()
    if (alias.model_id if alias is not None else None) != row.incumbent:
        raise MovedError
    if _is_taken_away(session, row):
        raise MovedError
    row.status, row.verdict, row.decided_at = "decided", decision.verdict, now(session)
    row.reason, row.evidence = decision.reason, decision.evidence
    if decision.verdict == "promoted":
        moves.point(
            session,
            organisation_id=row.organisation_id,
            alias=row.alias,
            model_id=row.candidate,
            move=Move(
                cause="promotion",
                actor=row.actor,
                reason=decision.reason,
                promotion_id=row.id,
                evidence=decision.evidence,
            ),
        )
    session.flush()


def renew(session: Session, promotion_id: str) -> PromotionRow | None:
    """Compare with what the alias means now; where that is the candidate, or it is deleted, there
    is no question and it is decided.
    """
    row = lock(session, promotion_id)
    if row is None:
        return None
    alias = session.get(AliasRow, (row.organisation_id, row.alias), populate_existing=True)
    row.incumbent = alias.model_id if alias is not None else None
    if row.incumbent == row.candidate:
        row.status, row.verdict, row.decided_at = "decided", "inconclusive", now(session)
        row.reason = "the alias has come to mean the candidate meanwhile"
    elif _is_taken_away(session, row):
        row.status, row.verdict, row.decided_at = "decided", "inconclusive", now(session)
        row.reason = "the alias was deleted meanwhile, and does not come back by itself"
    return row


def _is_taken_away(session: Session, row: PromotionRow) -> bool:
    of, alias = row.organisation_id, row.alias
    return moves.is_taken_away(session, organisation_id=of, alias=alias, since=row.created_at)


def fail(session: Session, promotion_id: str, error: HeadstartError) -> PromotionRow | None:
    """The promotion could not be decided: the incumbent stays."""
    row = lock(session, promotion_id)
    if row is not None and row.status == "waiting":
        row.status, row.verdict, row.decided_at = "failed", "inconclusive", now(session)
        row.reason, row.error = f"it could not be decided: {error.message}", error.stored()
    return row
