"""The rule of a promotion and its verdict, in words and numbers.

Three verdicts: `promoted`, `refused` where the candidate is evidently not good enough, and
`inconclusive`, with which the incumbent stays too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.errors import HeadstartError
from app.core.promotion import evidence, paired_tests
from app.core.promotion.bootstrap import DRAWS
from app.core.promotion.evidence import Seen
from app.core.promotion.pairs import Discordance, Pair, discordance
from app.core.promotion.spending import Budget

Verdict = Literal["promoted", "refused", "inconclusive"]
Metric = Literal[
    "auto", "accuracy", "balanced_accuracy", "log_loss", "mean_average_precision", "macro_f1"
]
OF_ONE: Sequence[Metric] = ("accuracy", "balanced_accuracy", "log_loss")
OF_SEVERAL: Sequence[Metric] = ("mean_average_precision", "macro_f1", "accuracy")
"""What can decide on models of several labels; `auto` is the first, of one label, too."""
_EVIDENT = 0.05
"""The level at which a candidate is called worse: refusing costs no alpha."""
_UNEVEN = 2.0
"""How many times as many examples the largest class has, beyond which a share of all examples is
another figure than the mean of the classes' shares."""
LEAST_GROUPS = 5
MOST_FLOORS = 200


class PromotionGate(BaseModel):
    """When a candidate may take the incumbent's place."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    evaluation_set: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None,
        pattern=r"^ds_[0-9a-z]{26}$",
        description="The dataset whose examples are asked; null: those that the candidate's own "
        "dataset holds out (its job's validation file, or the split `test`, or `val`).",
    )
    rule: Literal["non_inferior", "superior"] = Field(
        "non_inferior",
        description="`non_inferior`: not worse by `margin` or more; `superior`: better.",
    )
    margin: float = Field(
        0.02, ge=0, le=0.5, description="What of the metric may be lost, with `non_inferior`."
    )
    alpha: float = Field(
        0.05,
        gt=0,
        le=0.2,
        description="The chance of a wrong promotion over all looks at the same examples.",
    )
    metric: Metric = Field(
        "auto",
        description="What decides; the others are told. `auto`: `accuracy`; `balanced_accuracy` "
        "where the candidate's fit took its classes as equally frequent (`class_balance`) and the "
        "held-out examples have more than twice as many of one as of another; with several labels "
        "an example `mean_average_precision`. With several labels `accuracy` is the share of "
        "examples whose labels are all right.",
    )
    classes: Literal["kept", "any"] = Field(
        "kept",
        description="`kept`: a candidate that lacks a class of the incumbent, or spells it "
        "otherwise, is refused; `any`: it is judged by the classes that it has.",
    )
    floors: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        default_factory=dict,
        max_length=MOST_FLOORS,
        description="The least recall of classes, by label.",
    )


def metric_of(gate: PromotionGate, *, several: bool, by_class: bool = False) -> Metric:
    """What decides; `by_class`: of one label each class counts alike, where nothing else is asked.
    Raises invalid_value where such models have no such figure.
    """
    known = OF_SEVERAL if several else OF_ONE
    if gate.metric == "auto":
        return "balanced_accuracy" if by_class and not several else known[0]
    if gate.metric not in known:
        kind = "several labels" if several else "one label"
        why = f"{gate.metric} is not of models of {kind}: {', '.join(known)} are"
        raise HeadstartError("invalid_value", why, param="gate.metric")
    return gate.metric


def in_the_gate(given: object) -> object:
    """A body with a gate, unless one of the gate's own members stands beside it. Raises ValueError,
    which says where it belongs.
    """
    beside = PromotionGate.model_fields.keys() & given.keys() if isinstance(given, dict) else set()
    if beside:
        name = min(beside)
        raise ValueError(f'`{name}` belongs into the gate: {{"gate": {{"{name}": …}}}}')
    return given


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says, and what it has seen."""

    verdict: Verdict
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)


def decide(
    pairs: Sequence[Pair],
    gate: PromotionGate,
    budget: Budget,
    *,
    asked: str = "held-out examples",
    equal_classes: bool = False,
    seed: int = 0,
    draws: int = DRAWS,
) -> Decision:
    """The verdict on a candidate whose answers, and the incumbent's, are `pairs`; `asked` is what
    the reason calls the examples, `equal_classes` whether the candidate was fitted for classes that
    come equally often: by a share of uneven examples it would lose for what it was made for.
    """
    if not pairs:
        return Decision("inconclusive", NOTHING_HELD_OUT)
    if pairs[0].incumbent is None:
        return _first(pairs, gate)
    found = discordance(pairs)
    seen = evidence.of(pairs, found, gate.floors, seed=seed, draws=draws)
    by_class = equal_classes and _is_uneven(pairs)
    metric = metric_of(gate, several=pairs[0].several, by_class=by_class)
    rule = _Rule(gate, metric, budget, seen, asked)
    missed = _missed(seen.told["floors"]) or _unjudged(found, rule)
    if missed is not None:
        return Decision(missed.verdict, missed.reason, rule.told())
    return _by_accuracy(found, rule) if rule.metric == "accuracy" else _by_bootstrap(found, rule)


def _is_uneven(pairs: Sequence[Pair]) -> bool:
    counts = Counter(pair.label for pair in pairs).values()
    return max(counts) > _UNEVEN * min(counts)


@dataclass(frozen=True, slots=True)
class _Rule:
    """What is asked of a candidate, and what was seen of it."""

    gate: PromotionGate
    metric: Metric
    budget: Budget
    seen: Seen
    asked: str

    @property
    def superior(self) -> bool:
        return self.gate.rule == "superior"

    @property
    def margin(self) -> float:
        return 0.0 if self.superior else self.gate.margin

    def told(self, **more: Any) -> dict[str, Any]:
        """The evidence, with what it was read by."""
        return {
            **self.seen.told,
            "metric": self.metric,
            "rule": self.gate.rule,
            "margin": None if self.superior else self.gate.margin,
            "alpha": self.budget.told(),
            **more,
        }


def _unjudged(found: Discordance, rule: _Rule) -> Decision | None:
    """Why nothing can be told, if nothing can."""
    if found.grouped and found.groups < LEAST_GROUPS:
        few = f"the held-out examples are of {found.groups} groups, and at least {LEAST_GROUPS}"
        return Decision("inconclusive", f"{few} are needed to tell anything")
    if rule.metric != "accuracy" and not rule.seen.alone:
        why = "no class has two held-out examples, and one that lacks it"
        return Decision("inconclusive", f"{why}: {_named(rule.metric)} cannot be told")
    return None


NOTHING_HELD_OUT = (
    "no held-out example is left to compare on, and no example was judged out of fold by both: "
    "name an evaluation_set, or give the dataset a split `test`"
)


def _first(pairs: Sequence[Pair], gate: PromotionGate) -> Decision:
    """There is no incumbent: only the floors can keep a candidate out."""
    told = evidence.first(pairs, gate.floors)
    missed = _missed(told["floors"])
    if missed is not None:
        return Decision(missed.verdict, missed.reason, told)
    return Decision("promoted", "there is no incumbent to compare with", told)


def _missed(floors: Sequence[Mapping[str, Any]]) -> Decision | None:
    below = [one for one in floors if one["met"] is False]
    unseen = [one for one in floors if one["met"] is None]
    if below:
        one = below[0]
        said = f"recall of {one['label']!r} is {one['recall']:.3f} of {one['support']} examples"
        return Decision("refused", f"{said}, below its floor of {one['floor']:g}")
    if unseen:
        label = unseen[0]["label"]
        return Decision("inconclusive", f"no held-out example is of {label!r}, which has a floor")
    return None


def _by_accuracy(found: Discordance, rule: _Rule) -> Decision:
    level = rule.budget.level
    p = _p_of_accuracy(found, rule.margin, level, superior=rule.superior)
    worse = paired_tests.inferiority(found, rule.margin, _EVIDENT)
    better = found.share + rule.margin > 0
    read = (found, rule.margin) if better else (paired_tests.mirrored(found), -rule.margin)

    def decides(more: float) -> bool:
        then = rule.budget.after(more).level if better else _EVIDENT
        return paired_tests.likely_shown(*read, then, times=1 + more)

    told = _Told(
        rule=rule,
        p=p,
        difference=found.share,
        count=found.examples,
        decides=decides,
        least=paired_tests.least_pairs(level) if rule.superior else 0,
        discordant=found.won + found.lost,
    )
    return _concluded(told, worse)


def _p_of_accuracy(found: Discordance, margin: float, level: float, *, superior: bool) -> float:
    if superior or not margin:
        return paired_tests.superiority(found, level)
    return paired_tests.non_inferiority(found, margin, level)


def _by_bootstrap(found: Discordance, rule: _Rule) -> Decision:
    """A figure that is no share: its bootstrap error, in the tail of Student's law."""
    difference, level = rule.seen.differences[rule.metric], rule.budget.level
    gained = difference.value * (-1 if rule.metric == "log_loss" else 1)
    widen = paired_tests.student(level, found.groups - 1) / paired_tests.normal(level)
    error = max(difference.error, _least_error(rule)) * widen
    p = paired_tests.tail((gained + rule.margin) / error) if error else 1.0
    worse = paired_tests.tail(-(gained + rule.margin) / error) if error else 1.0
    effect = gained + rule.margin

    def decides(more: float) -> bool:
        then = rule.budget.after(more).level if effect > 0 else _EVIDENT
        return paired_tests.mean_likely_shown(abs(effect), error, then, times=1 + more)

    told = _Told(rule=rule, p=p, difference=gained, count=found.examples, decides=decides)
    return _concluded(told, worse)


def _least_error(rule: _Rule) -> float:
    """What a mean of shares varies by where the candidate is worse by just the margin: answers that
    never differ, of which every draw is the same, prove no more than that.
    """
    if rule.metric == "log_loss" or not rule.seen.alone:
        return 0.0
    return math.sqrt(rule.margin * (1 - rule.margin) / rule.seen.alone)


def _named(metric: Metric) -> str:
    return metric.replace("_", " ").replace("f1", "F1")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What the sentence of a verdict is made of; `difference` is above 0 for a better candidate."""

    rule: _Rule
    p: float
    difference: float
    count: int
    decides: Callable[[float], bool]
    """Whether that many times as many fresh examples beside these would mostly decide."""
    least: int = 0
    discordant: int = 0

    @property
    def level(self) -> float:
        return self.rule.budget.level

    def difference_said(self) -> str:
        name, how = _named(self.rule.metric), "better" if self.difference > 0 else "worse"
        unit = " nats" if self.rule.metric == "log_loss" else ""
        if not self.difference:
            return f"{name} is the same on {self.count} {self.rule.asked}"
        how = f"{abs(self.difference):.4f}{unit} {how}"
        return f"{name} is {how} on {self.count} {self.rule.asked}"

    def decision(self, verdict: Verdict, reason: str, **more: Any) -> Decision:
        return Decision(verdict, reason, self.rule.told(p_value=self.p, level=self.level, **more))


def _concluded(told: _Told, worse: float) -> Decision:
    said, rule = told.difference_said(), told.rule
    margin = rule.gate.margin
    if told.p <= told.level:
        also = _guarded(rule)
        if also is not None:
            return told.decision("refused", also)
        shown = "so it is better" if rule.superior else f"so it is not worse by {margin:g} or more"
        return told.decision(
            "promoted", f"{said}, {shown} (p = {told.p:.2g}, level {told.level:.2g})"
        )
    if worse <= _EVIDENT:
        shown = "no better" if rule.superior else f"worse by more than {margin:g}"
        return told.decision("refused", f"{said}: evidently {shown} (p = {worse:.2g})")
    return _undecided(told)


_GUARDS: Sequence[Metric] = ("balanced_accuracy", "macro_f1")
"""What must not evidently fall, whatever else decides: each is of one kind of models."""


def _guarded(rule: _Rule) -> str | None:
    """Why a candidate that passed by its metric is refused: some classes pay for it."""
    for metric in _GUARDS:
        found = rule.seen.differences.get(metric)
        if found is not None and metric != rule.metric and found.high < -rule.margin:
            return (
                f"{_named(metric)} is {-found.value:.4f} worse (95% interval up to "
                f"{-found.high:.4f}): rare classes pay for what others gain"
            )
    return None


def _undecided(told: _Told) -> Decision:
    level = told.level
    more = paired_tests.more_labels(told.count, told.decides)
    said = f"{told.difference_said()}, which shows neither (p = {told.p:.2g}, level {level:.2g})"
    if told.least > told.discordant:
        said += (
            f"; the models differ in {told.discordant} of them, and below {told.least} "
            "nothing can be shown to be better"
        )
    rest = "more labels would hardly decide"
    if more is not None:
        rest = f"about {more} more labelled example{'s'[: more > 1]} would decide"
    return told.decision("inconclusive", f"{said}; {rest}", more_labels=more)
