"""Two models side by side, on the examples that both were judged on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import dropwhile
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from app.core.errors import HeadstartError
from app.core.held_out import HeldOutAnswer, Several
from app.core.promotion import evidence
from app.core.promotion.paired_tests import mcnemar
from app.core.promotion.pairs import Pair
from app.core.promotion.several import PairedFigures
from app.http.schemas import DatasetVersion

Outcome = Literal["both_right", "only_this", "only_other", "both_wrong"]
Match = tuple[HeldOutAnswer, HeldOutAnswer]


class OutcomeCounts(BaseModel):
    """How many examples each outcome has; `only_this`: the model of the path alone is right."""

    both_right: int
    only_this: int
    only_other: int
    both_wrong: int


class ComparedAnswer(BaseModel):
    """What one of the models answered."""

    label: str
    probability: float
    labels: Several


class ComparedFigures(BaseModel):
    """Each model's figures on all the examples: `accuracy` (of several labels: the share whose
    labels are all right), with `balanced_accuracy` and `log_loss`, or, of several labels,
    `mean_average_precision` and `macro_f1`."""

    this: dict[str, float]
    other: dict[str, float]


class ComparedExample(BaseModel):
    """One example that both models were judged on."""

    example_id: str
    expected: str
    expected_labels: Several
    outcome: Outcome
    this: ComparedAnswer
    other: ComparedAnswer


class ModelComparison(BaseModel):
    """Two models on the examples that both were judged on and neither learned from."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "object": "model.comparison",
                    "model": "ft:efficientnet_lite0:default:cells:01ke4c0f6v6z2k8m9q3w5x7y1t",
                    "other": "ft:efficientnet_lite0:default:cells:01ke4d9a6v6z2k8m9q3w5x7y2u",
                    "dataset": {"id": "ds_01jd3v6s0q8m4f2k9x7c5b1n3a", "version": 2},
                    "num_examples": 290,
                    "left_out": 3,
                    "counts": {
                        "both_right": 214,
                        "only_this": 33,
                        "only_other": 8,
                        "both_wrong": 35,
                    },
                    "figures": {
                        "this": {"accuracy": 0.852, "balanced_accuracy": 0.84, "log_loss": 0.41},
                        "other": {"accuracy": 0.766, "balanced_accuracy": 0.75, "log_loss": 0.63},
                    },
                    "p_value": 0.000114,
                    "data": [],
                    "has_more": False,
                }
            ]
        }
    )

    object: Literal["model.comparison"] = "model.comparison"
    model: str
    other: str
    dataset: DatasetVersion | None = Field(description="Of which version the examples are.")
    num_examples: int
    left_out: int = Field(description="Judged by both, but under different labels.")
    counts: OutcomeCounts
    figures: ComparedFigures
    p_value: float | None = Field(
        description="Exact McNemar test, two-sided: how likely at least so uneven a split of the "
        "examples that only one gets right would be by luck. Null where there are none. Examples "
        "of one group are counted as if they had nothing in common."
    )
    data: list[ComparedExample]
    has_more: bool


def compared(
    names: tuple[str, str],
    answers: tuple[Iterable[HeldOutAnswer], Iterable[HeldOutAnswer]],
    *,
    dataset: DatasetVersion | None,
    outcome: Outcome | None,
    after: str | None,
    limit: int,
) -> ModelComparison:
    """The comparison, with at most `limit` examples of `outcome` behind `after`.

    Raises invalid_request where no example was judged by both, or none is called `after`.
    """
    shared, left_out = _matches(*answers)
    if not shared:
        why = "other: no example was judged by both models; they are of different datasets, perhaps"
        raise HeadstartError("invalid_request", why, param="other")
    counts = Counter(outcome_of(match) for match in shared)
    wanted = [
        _shown(match) for match in _behind(shared, after) if outcome in (None, outcome_of(match))
    ]
    return ModelComparison(
        model=names[0],
        other=names[1],
        dataset=dataset,
        num_examples=len(shared),
        left_out=left_out,
        figures=_figures(shared),
        counts=OutcomeCounts(**{name: counts[name] for name in get_args(Outcome)}),
        p_value=luck(counts["only_this"], counts["only_other"]),
        data=wanted[:limit],
        has_more=len(wanted) > limit,
    )


def luck(won: int, lost: int) -> float | None:
    """The two-sided p of McNemar's exact test; None without a discordant example."""
    if not won + lost:
        return None
    return min(1.0, 2 * mcnemar(max(won, lost), min(won, lost)))


def outcome_of(match: Match) -> Outcome:
    """Which of the two is right."""
    this, other = (answer.correct for answer in match)
    if this:
        return "both_right" if other else "only_this"
    return "only_other" if other else "both_wrong"


def _matches(
    these: Iterable[HeldOutAnswer], others: Iterable[HeldOutAnswer]
) -> tuple[list[Match], int]:
    """Both models' answers to the same examples, and how many have different labels by now."""
    known = {answer.example_id: answer for answer in others}
    both = [(one, known[one.example_id]) for one in these if one.example_id in known]
    same = [match for match in both if match[0].truth == match[1].truth]
    return same, len(both) - len(same)


def _behind(matches: Sequence[Match], after: str | None) -> Sequence[Match]:
    if after is None:
        return matches
    rest = list(dropwhile(lambda match: match[0].example_id != after, matches))
    if not rest:
        why = "after: the models were not both judged on such an example"
        raise HeadstartError("invalid_request", why, param="after")
    return rest[1:]


def _shown(match: Match) -> ComparedExample:
    this, other = match
    return ComparedExample(
        example_id=this.example_id,
        expected=this.expected,
        expected_labels=this.expected_labels,
        outcome=outcome_of(match),
        this=_answer(this),
        other=_answer(other),
    )


def _answer(one: HeldOutAnswer) -> ComparedAnswer:
    return ComparedAnswer(label=one.label, probability=one.probability, labels=one.labels)


def _figures(matches: Sequence[Match]) -> ComparedFigures:
    pairs = [
        Pair(this.truth, this.example_id, this.verdicted, other.verdicted)
        for this, other in matches
    ]
    several = PairedFigures.of(pairs) if pairs[0].several else None
    this, other = (evidence.model(pairs, several, incumbent=one) for one in (False, True))
    return ComparedFigures(this=this, other=other)
