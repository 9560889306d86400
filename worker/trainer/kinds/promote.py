"""A promotion: ask candidate and incumbent the same held-out examples, and let the gate decide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.manifest import Example
from app.core.promotion import gate, spending
from app.core.promotion.gate import Decision, PromotionGate
from app.core.promotion.pairs import Pair, Verdicted
from app.infra.orm import PromotionRow
from app.infra.repositories import work
from app.infra.repositories.retraining import endings, promotions
from app.infra.repositories.retraining.promotions import MovedError
from app.infra.repositories.work import Claim
from worker.trainer.attempt import Attempt
from worker.trainer.inputs import alike, asked_before, held_out
from worker.trainer.inputs.alike import Unit
from worker.trainer.inputs.asked import answers
from worker.trainer.inputs.held_out import Contest, HeldOut

_AGAIN_SECONDS = 1.0


def run(attempt: Attempt) -> None:
    """Decide, and commit the verdict and the alias's move together, under the fence."""
    payload = attempt.claim.payload
    asked = attempt.read(lambda session: _contest(session, attempt.claim))
    if asked is None:
        raise HeadstartError("not_found", "one of the models was deleted")
    if asked.version is not None and asked.version.status == "processing":
        attempt.commit(lambda session: _later(session, attempt.claim))
        return
    before = attempt.read(
        lambda session: promotions.asked(
            session, organisation_id=asked.promotion.organisation_id, alias=asked.promotion.alias
        )
    )
    decision, marks = _decide(attempt, asked, before)

    def conclude(session: Session) -> None:
        work.finish(session, attempt.claim)
        row = promotions.lock(session, payload["promotion"])
        if row is not None and row.status == "waiting":
            promotions.wear(session, row, marks, before)
            promotions.conclude(session, row, decision)
            endings.promotion_ended(session, row)

    try:
        attempt.commit(conclude)
    except MovedError:
        attempt.commit(lambda session: _against_whom(session, attempt.claim))


def _contest(session: Session, claim: Claim) -> Contest | None:
    row = session.get_one(PromotionRow, claim.payload["promotion"])
    return held_out.contest(session, row, claim.payload["version"])


def _later(session: Session, claim: Claim) -> None:
    work.give_back(session, claim, delay=_AGAIN_SECONDS)


def _against_whom(session: Session, claim: Claim) -> None:
    """The alias has moved meanwhile: compare with what it means now."""
    promotions.renew(session, claim.payload["promotion"])
    work.give_back(session, claim)


def _decide(
    attempt: Attempt, asked: Contest, before: Mapping[str, int]
) -> tuple[Decision, list[str]]:
    """The verdict, and the marks of the examples whose answers it has seen."""
    rule = PromotionGate.model_validate(asked.promotion.gate)
    found = held_out.find(attempt, asked)
    stop = _stopped(asked, found)
    if stop is not None:
        return replace(stop, evidence={"held_out": found.told}), []
    earlier = asked_before.examples(attempt, asked, before)
    beside = [*earlier, *found.known]
    units = alike.units(attempt, asked.candidate, found.examples, beside)
    pairs = _pairs(attempt, asked, found.examples, alike.groups(found.examples, units))
    marks = _marks(asked, [*found.examples, *earlier], units)
    marked = {units[one.id]: marks[units[one.id]] for one in found.examples}
    budget = spending.budget(list(marked.values()), before, alpha=rule.alpha)
    said = gate.decide(pairs, rule, budget)
    held = {**found.told, "copies_of_one_another": alike.copies(found.examples, units)}
    told = replace(said, evidence={**said.evidence, "held_out": held})
    looked = asked.incumbent is not None and pairs
    return told, [one for some in marked.values() for one in some] if looked else []


def _marks(
    asked: Contest, examples: Sequence[Example], units: Mapping[str, Unit]
) -> dict[Unit, list[str]]:
    """By what an alias remembers that it has asked a unit: every content of it."""
    marks: dict[Unit, list[str]] = defaultdict(list)
    for one in examples:
        marks[units[one.id]].append(spending.mark(asked.promotion.alias, one.content))
    return marks


def _stopped(asked: Contest, found: HeldOut) -> Decision | None:
    """What is decided before anybody is asked."""
    rule = PromotionGate.model_validate(asked.promotion.gate)
    if found.refusal is not None:
        return Decision("refused", found.refusal)
    if asked.incumbent is None and not rule.floors:
        return Decision("promoted", "there is no incumbent to compare with")
    if found.unchecked is not None:
        return Decision("inconclusive", found.unchecked)
    if not found.examples:
        return Decision("inconclusive", gate.NOTHING_HELD_OUT)
    return None


def _pairs(
    attempt: Attempt, asked: Contest, examples: Sequence[Example], groups: Mapping[str, str]
) -> list[Pair]:
    said = answers(attempt, asked.candidate, examples)
    other: dict[str, Verdicted] | None = None
    if asked.incumbent is not None:
        other = answers(attempt, asked.incumbent, examples)
    return [
        Pair(
            label=one.label,
            group=groups[one.id],
            candidate=said[one.id],
            incumbent=other[one.id] if other is not None else None,
        )
        for one in examples
        if one.id in said and (other is None or one.id in other)
    ]


def begin(session: Session, claim: Claim) -> bool:
    """Whether there is still anything to decide."""
    row = session.get(PromotionRow, claim.payload["promotion"])
    return row is not None and row.status == "waiting"


def fail(session: Session, claim: Claim, error: HeadstartError) -> None:
    """End the work for good: the incumbent stays."""
    work.fail(session, claim, error)
    row = promotions.fail(session, claim.payload["promotion"], error)
    if row is not None:
        endings.promotion_ended(session, row)
