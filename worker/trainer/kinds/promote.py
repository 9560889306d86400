"""A promotion: ask candidate and incumbent the same held-out examples, and let the gate decide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.manifest import Example
from app.core.promotion import classes, gate, spending
from app.core.promotion.classes import ClassChange
from app.core.promotion.gate import Decision, PromotionGate
from app.core.promotion.pairs import Pair, labels_of
from app.infra.orm import ModelRow, PromotionRow
from app.infra.repositories import work
from app.infra.repositories.retraining import endings, promotions
from app.infra.repositories.retraining.promotions import MovedError
from app.infra.repositories.versions import VersionGoneError
from app.infra.repositories.work import Claim
from worker.trainer.attempt import Attempt
from worker.trainer.inputs import alike, asked_before, held_out, out_of_fold
from worker.trainer.inputs.alike import Unit
from worker.trainer.inputs.asked import answers
from worker.trainer.inputs.held_out import Contest, HeldOut, classes_of
from worker.trainer.inputs.out_of_fold import Shared

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
    try:
        decision, marks = _decide(attempt, asked, before)
    except VersionGoneError:  # once more, without it
        attempt.commit(lambda session: _later(session, attempt.claim))
        return

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
    row = promotions.renew(session, claim.payload["promotion"])
    if row is None or row.status == "waiting":
        work.give_back(session, claim)
        return
    work.finish(session, claim)
    endings.promotion_ended(session, row)


def _decide(
    attempt: Attempt, asked: Contest, before: Mapping[str, int]
) -> tuple[Decision, list[str]]:
    """The verdict, and the marks of the examples whose answers it has seen."""
    rule = PromotionGate.model_validate(asked.promotion.gate)
    change = _class_change(asked)
    lacking = change.refusal() if rule.classes == "kept" else None
    if lacking is not None:
        return Decision("refused", lacking, evidence=change.told()), []
    found = held_out.find(attempt, asked)
    shared = out_of_fold.find(attempt, asked) if _nothing_held_out(asked, found) else None
    stop = _stopped(asked, found, shared)
    if stop is not None:
        return replace(stop, evidence={"held_out": found.told}), []
    shared = shared or _asked(attempt, asked, found)
    earlier = asked_before.examples(attempt, asked, before)
    beside = [*earlier, *found.known]
    units = alike.units(attempt, asked.candidate, shared.examples, beside)
    pairs = _pairs(shared, alike.groups(shared.examples, units))
    marks = _marks(asked, [*shared.examples, *earlier], units)
    marked = {units[one.id]: marks[units[one.id]] for one in shared.examples}
    budget = spending.budget(list(marked.values()), before, alpha=rule.alpha)
    equal = _is_for_equal_classes(asked.candidate)
    said = gate.decide(pairs, rule, budget, asked=shared.called, equal_classes=equal)
    held = {**shared.told, "copies_of_one_another": alike.copies(shared.examples, units)}
    told = replace(said, evidence={**said.evidence, **change.told(), "held_out": held})
    told = _with_unasked(told, asked.candidate, pairs)
    looked = asked.incumbent is not None and pairs
    return told, [one for some in marked.values() for one in some] if looked else []


def _class_change(asked: Contest) -> ClassChange:
    """None of a first model: nobody knows the alias yet."""
    after = classes_of(asked.candidate)
    return ClassChange.between(classes_of(asked.incumbent) if asked.incumbent else after, after)


def _with_unasked(told: Decision, candidate: ModelRow, pairs: Sequence[Pair]) -> Decision:
    """The decision, which tells of what classes nothing was seen."""
    whose = classes_of(candidate), {name for pair in pairs for name in labels_of(pair.label)}
    more = classes.unasked_said(*whose) if told.verdict == "promoted" else ""
    evidence = {**told.evidence, **classes.unasked_told(*whose)}
    return replace(told, reason=told.reason + more, evidence=evidence)


def _is_for_equal_classes(model: ModelRow) -> bool:
    fitted = model.evaluation.get("class_balance") or {}
    return bool(fitted.get("logit_adjustment") == "equal classes")


def _marks(
    asked: Contest, examples: Sequence[Example], units: Mapping[str, Unit]
) -> dict[Unit, list[str]]:
    """By what an alias remembers that it has asked a unit: every content of it."""
    marks: dict[Unit, list[str]] = defaultdict(list)
    for one in examples:
        marks[units[one.id]].append(spending.mark(asked.promotion.alias, one.content))
    return marks


def _nothing_held_out(asked: Contest, found: HeldOut) -> bool:
    """Whether folds must stand in: of an evaluation set that is named they never do."""
    return found.refusal is None and not found.examples and not asked.named and not found.held


def _stopped(asked: Contest, found: HeldOut, shared: Shared | None) -> Decision | None:
    """What is decided before anybody is asked."""
    rule = PromotionGate.model_validate(asked.promotion.gate)
    if found.refusal is not None:
        return Decision("refused", found.refusal)
    if asked.incumbent is None and not rule.floors:
        return Decision("promoted", "there is no incumbent to compare with")
    if shared is not None and shared.examples:
        return None
    if found.unchecked is not None:
        return Decision("inconclusive", found.unchecked)
    if not found.examples:
        return Decision("inconclusive", gate.NOTHING_HELD_OUT)
    return None


def _asked(attempt: Attempt, asked: Contest, found: HeldOut) -> Shared:
    """What both models say of the held-out examples."""
    said = answers(attempt, asked.candidate, found.examples)
    other = answers(attempt, asked.incumbent, found.examples) if asked.incumbent else None
    return Shared(examples=found.examples, candidate=said, incumbent=other, told=found.told)


def _pairs(shared: Shared, groups: Mapping[str, str]) -> list[Pair]:
    said, other = shared.candidate, shared.incumbent
    return [
        Pair(
            label=one.label if one.labels is None else frozenset(one.labels),
            group=groups[one.id],
            candidate=said[one.id],
            incumbent=other[one.id] if other is not None else None,
        )
        for one in shared.examples
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
