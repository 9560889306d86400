"""The rule of a promotion and its verdict, in words and numbers.

Three verdicts: `promoted`, `refused` where the candidate is evidently not good enough, and
`inconclusive`, with which the incumbent stays too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.promotion import bootstrap, paired_tests
from app.core.promotion.bootstrap import DRAWS, Difference
from app.core.promotion.pairs import Discordance, Pair, discordance, loss, right
from app.core.promotion.spending import Budget

Verdict = Literal["promoted", "refused", "inconclusive"]
Metric = Literal["accuracy", "balanced_accuracy", "log_loss"]
_EVIDENT = 0.05
"""The level at which a candidate is called worse: refusing costs no alpha."""
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
    metric: Metric = Field("accuracy", description="What decides; the others are told.")
    floors: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        default_factory=dict,
        max_length=MOST_FLOORS,
        description="The least recall of classes, by label.",
    )


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
    pairs: Sequence[Pair], gate: PromotionGate, budget: Budget, *, seed: int = 0, draws: int = DRAWS
) -> Decision:
    """The verdict on a candidate whose answers, and the incumbent's, are `pairs`."""
    if not pairs:
        return Decision("inconclusive", NOTHING_HELD_OUT)
    if pairs[0].incumbent is None:
        return _first(pairs, gate)
    found = discordance(pairs)
    evidence = _evidence(pairs, found, gate, budget, seed=seed, draws=draws)
    missed = _missed(evidence["floors"])
    if missed is not None:
        return Decision(missed.verdict, missed.reason, evidence)
    if found.grouped and found.groups < LEAST_GROUPS:
        few = f"the held-out examples are of {found.groups} groups, and at least {LEAST_GROUPS}"
        return Decision("inconclusive", f"{few} are needed to tell anything", evidence)
    if gate.metric == "accuracy":
        return _by_accuracy(found, gate, budget, evidence)
    return _by_bootstrap(found, gate, budget, evidence)


NOTHING_HELD_OUT = (
    "no held-out example is left to compare on: name an evaluation_set, "
    "or give the dataset a split `test`"
)


def _first(pairs: Sequence[Pair], gate: PromotionGate) -> Decision:
    """There is no incumbent: only the floors can keep a candidate out."""
    floors = _floors(pairs, gate)
    evidence: dict[str, Any] = {
        "examples": len(pairs),
        "candidate": _figures(pairs, incumbent=False),
        "incumbent": None,
        "floors": floors,
    }
    missed = _missed(floors)
    if missed is not None:
        return Decision(missed.verdict, missed.reason, evidence)
    return Decision("promoted", "there is no incumbent to compare with", evidence)


def _floors(pairs: Sequence[Pair], gate: PromotionGate) -> list[dict[str, Any]]:
    counts = bootstrap.recalls(pairs)
    told = []
    for label, floor in sorted(gate.floors.items()):
        support, hits, _ = counts.get(label, (0, 0, 0))
        recall = hits / support if support else None
        met = None if recall is None else recall >= floor
        told.append(
            {"label": label, "floor": floor, "recall": recall, "support": support, "met": met}
        )
    return told


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


def _by_accuracy(
    found: Discordance, gate: PromotionGate, budget: Budget, evidence: dict[str, Any]
) -> Decision:
    level = budget.level
    superior = gate.rule == "superior"
    margin = 0.0 if superior else gate.margin
    p = _p_of_accuracy(found, margin, level, superior=superior)
    worse = paired_tests.inferiority(found, margin, _EVIDENT)
    evidence |= {"p_value": p, "level": level}
    variance = max(found.won + found.lost, 1) / found.examples - found.share**2
    told = _Told(
        gate=gate,
        difference=found.share,
        variance=variance * paired_tests.deflation(found, level),
        count=found.examples,
        least=paired_tests.least_pairs(level) if superior else 0,
        discordant=found.won + found.lost,
    )
    return _concluded(p, worse, told, level, evidence)


def _p_of_accuracy(found: Discordance, margin: float, level: float, *, superior: bool) -> float:
    if superior or not margin:
        return paired_tests.superiority(found, level)
    return paired_tests.non_inferiority(found, margin, level)


def _by_bootstrap(
    found: Discordance, gate: PromotionGate, budget: Budget, evidence: dict[str, Any]
) -> Decision:
    """A figure that is no share: its bootstrap error, in the tail of Student's law."""
    told_difference = evidence["difference"][gate.metric]
    gained = told_difference["value"] * (-1 if gate.metric == "log_loss" else 1)
    margin = 0.0 if gate.rule == "superior" else gate.margin
    level, error = budget.level, evidence["errors"][gate.metric]
    widen = paired_tests.student(level, found.groups - 1) / paired_tests.normal(level)
    if not error:
        p = worse = 1.0
    else:
        p = paired_tests.tail((gained + margin) / (error * widen))
        worse = paired_tests.tail(-(gained + margin) / (error * widen))
    evidence |= {"p_value": p, "level": level}
    told = _Told(
        gate=gate,
        difference=gained,
        variance=(error * widen) ** 2 * found.examples,
        count=found.examples,
    )
    return _concluded(p, worse, told, level, evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What the sentence of a verdict is made of; `difference` is above 0 for a better candidate."""

    gate: PromotionGate
    difference: float
    variance: float
    count: int
    least: int = 0
    discordant: int = 0

    @property
    def name(self) -> str:
        return self.gate.metric.replace("_", " ")

    def difference_said(self) -> str:
        how = "better" if self.difference > 0 else "worse"
        unit = " nats" if self.gate.metric == "log_loss" else ""
        if not self.difference:
            return f"{self.name} is the same on {self.count} held-out examples"
        return (
            f"{self.name} is {abs(self.difference):.4f}{unit} {how} "
            f"on {self.count} held-out examples"
        )


def _concluded(
    p: float, worse: float, told: _Told, level: float, evidence: dict[str, Any]
) -> Decision:
    said, margin = told.difference_said(), told.gate.margin
    superior = told.gate.rule == "superior"
    if p <= level:
        also = _guarded(told.gate, evidence)
        if also is not None:
            return Decision("refused", also, evidence)
        shown = "so it is better" if superior else f"so it is not worse by {margin:g} or more"
        return Decision("promoted", f"{said}, {shown} (p = {p:.2g}, level {level:.2g})", evidence)
    if worse <= _EVIDENT:
        shown = "no better" if superior else f"worse by more than {margin:g}"
        return Decision("refused", f"{said}: evidently {shown} (p = {worse:.2g})", evidence)
    return _undecided(p, told, level, evidence)


def _guarded(gate: PromotionGate, evidence: Mapping[str, Any]) -> str | None:
    """Why a candidate that passed by its metric is refused: rare classes pay for it."""
    balanced = evidence["difference"]["balanced_accuracy"]
    limit = 0.0 if gate.rule == "superior" else -gate.margin
    if gate.metric == "balanced_accuracy" or balanced["high"] >= limit:
        return None
    return (
        f"balanced accuracy is {-balanced['value']:.4f} worse (95% interval up to "
        f"{-balanced['high']:.4f}): rare classes pay for what others gain"
    )


def _undecided(p: float, told: _Told, level: float, evidence: dict[str, Any]) -> Decision:
    margin = 0.0 if told.gate.rule == "superior" else told.gate.margin
    more = paired_tests.more_labels(
        effect=told.difference + margin,
        variance=told.variance,
        count=told.count,
        level=level if told.difference + margin > 0 else _EVIDENT,
    )
    evidence["more_labels"] = more
    said = f"{told.difference_said()}, which shows neither (p = {p:.2g}, level {level:.2g})"
    if told.least > told.discordant:
        said += (
            f"; the models differ in {told.discordant} of them, and below {told.least} "
            "nothing can be shown to be better"
        )
    if more is None:
        return Decision("inconclusive", f"{said}; more labels would hardly decide", evidence)
    return Decision(
        "inconclusive", f"{said}; about {more} more labelled examples would decide", evidence
    )


def _evidence(
    pairs: Sequence[Pair],
    found: Discordance,
    gate: PromotionGate,
    budget: Budget,
    *,
    seed: int,
    draws: int,
) -> dict[str, Any]:
    balanced = bootstrap.balanced_accuracy(pairs, seed=seed, draws=draws)
    losses = bootstrap.log_loss(pairs, seed=seed, draws=draws)
    return {
        "examples": found.examples,
        "groups": found.groups if found.grouped else None,
        "design_effect": found.effect,
        "metric": gate.metric,
        "rule": gate.rule,
        "margin": gate.margin if gate.rule == "non_inferior" else None,
        "candidate": _figures(pairs, incumbent=False),
        "incumbent": _figures(pairs, incumbent=True),
        "discordant": {"candidate_right": found.won, "incumbent_right": found.lost},
        "difference": {
            "accuracy": _accuracy(found).told(),
            "balanced_accuracy": balanced.told(),
            "log_loss": losses.told(),
        },
        "errors": {"balanced_accuracy": balanced.error, "log_loss": losses.error},
        "alpha": budget.told(),
        "floors": _floors(pairs, gate),
        "classes": [
            {"label": label, "support": n, "candidate_recall": a / n, "incumbent_recall": b / n}
            for label, (n, a, b) in bootstrap.recalls(pairs).items()
        ],
        "more_labels": None,
    }


def _accuracy(found: Discordance) -> Difference:
    variance = (found.won + found.lost) / found.examples - found.share**2
    error = (max(variance, 0.0) * found.effect / found.examples) ** 0.5
    reach = error * paired_tests.student(0.025, found.groups - 1)
    return Difference(found.share, found.share - reach, found.share + reach, error)


def _figures(pairs: Sequence[Pair], *, incumbent: bool) -> dict[str, float]:
    answers = [(pair, pair.incumbent if incumbent else pair.candidate) for pair in pairs]
    hits = [right(answer, pair.label) for pair, answer in answers]
    at = 2 if incumbent else 1
    counts = bootstrap.recalls(pairs).values()
    return {
        "accuracy": sum(hits) / len(hits),
        "balanced_accuracy": sum(row[at] / row[0] for row in counts) / len(counts),
        "log_loss": sum(loss(answer) for _, answer in answers if answer) / len(answers),
    }
