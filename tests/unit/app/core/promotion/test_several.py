"""The gate on models of several labels, and its figures against scikit-learn's."""

from __future__ import annotations

from random import Random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score

from app.core.errors import HeadstartError
from app.core.promotion.gate import Decision, PromotionGate, decide
from app.core.promotion.pairs import Pair, Verdicted
from app.core.promotion.several import PairedFigures
from app.core.promotion.spending import Budget

pytestmark = pytest.mark.slow

CLASSES = ("cat", "dog", "hat")


def answer(random: Random, truth: frozenset[str], skill: float) -> Verdicted:
    """Scores that lie beyond one half as often as `skill` says."""
    scores = {
        label: round(
            (0.5 + random.random() / 2)
            if (label in truth) == (random.random() < skill)
            else random.random() / 2,
            2,
        )
        for label in CLASSES
    }
    return Verdicted(frozenset(x for x, p in scores.items() if p >= 0.5), 0.0, scores)


def drawn(
    seed: int, count: int, *, candidate: float, incumbent: float, same: float = 0.0
) -> list[Pair]:
    """Pairs of two models' answers, `same` of which both give alike."""
    random, pairs = Random(seed), []
    for place in range(count):
        truth = frozenset(label for label in CLASSES if random.random() < 0.4)
        theirs = answer(random, truth, incumbent)
        mine = theirs if random.random() < same else answer(random, truth, candidate)
        pairs.append(Pair(truth, str(place), mine, theirs))
    return pairs


def verdict(pairs: list[Pair], **gate: object) -> Decision:
    return decide(pairs, PromotionGate.model_validate(gate), Budget(0.05), draws=200)


@given(seed=st.integers(0, 10_000), count=st.integers(4, 60))
@settings(deadline=None, max_examples=60)
def test_figures_are_scikit_learn_s(seed: int, count: int) -> None:
    pairs = drawn(seed, count, candidate=0.8, incumbent=0.6)
    figures = PairedFigures.of(pairs)
    if not figures.classes:
        return
    told, expected = figures.told(incumbent=False), {"ap": [], "f1": []}
    for label in figures.classes:
        truth = [label in pair.label for pair in pairs]
        scores = [pair.candidate.probabilities[label] for pair in pairs]
        said = [label in pair.candidate.label for pair in pairs]
        expected["ap"].append(average_precision_score(truth, scores))
        expected["f1"].append(f1_score(truth, said, zero_division=0.0))
    assert told["mean_average_precision"] == pytest.approx(fmean(expected["ap"]))
    assert told["macro_f1"] == pytest.approx(fmean(expected["f1"]))


def test_a_better_model_is_promoted_and_a_worse_one_is_not() -> None:
    better = verdict(drawn(1, 400, candidate=0.9, incumbent=0.75), rule="superior")
    assert better.verdict == "promoted", better.reason
    assert better.reason.startswith("mean average precision is 0.")
    assert better.evidence["metric"] == "mean_average_precision"
    assert set(better.evidence["difference"]) == {
        "accuracy", "mean_average_precision", "macro_f1",
    }  # fmt: skip
    worse = verdict(drawn(2, 400, candidate=0.75, incumbent=0.9))
    assert worse.verdict == "refused", worse.reason
    assert {"label", "support", "candidate_average_precision"} <= worse.evidence["classes"][
        0
    ].keys()


@pytest.mark.parametrize("metric", ["mean_average_precision", "macro_f1"])
def test_answers_that_never_differ_show_no_more_than_their_number_can(metric: str) -> None:
    few = drawn(3, 20, candidate=0.9, incumbent=0.9, same=1.0)
    many = drawn(3, 1000, candidate=0.9, incumbent=0.9, same=1.0)
    assert verdict(few, metric=metric).verdict == "inconclusive"
    assert verdict(many, metric=metric, margin=0.05).verdict == "promoted"


def test_accuracy_is_of_all_labels_together() -> None:
    pairs = drawn(4, 300, candidate=0.95, incumbent=0.8)
    said = verdict(pairs, metric="accuracy")
    right = sum(pair.candidate.label == pair.label for pair in pairs) / 300
    assert said.evidence["candidate"]["accuracy"] == pytest.approx(right)
    assert said.verdict == "promoted"


def test_copies_in_one_group_count_once() -> None:
    pairs = drawn(5, 30, candidate=0.9, incumbent=0.8)
    copied = [pair for pair in pairs for _ in range(20)]
    alone, together = verdict(pairs), verdict(copied)
    assert together.evidence["groups"] == 30
    errors = [one.evidence["errors"]["mean_average_precision"] for one in (alone, together)]
    assert errors[1] == pytest.approx(errors[0], rel=0.3)


def test_floors_are_of_what_has_the_label() -> None:
    pairs = drawn(6, 200, candidate=0.8, incumbent=0.8)
    said = verdict(pairs, floors={"cat": 0.99})
    assert said.verdict == "refused"
    assert "recall of 'cat' is 0.8" in said.reason or "recall of 'cat' is 0.7" in said.reason


def test_what_no_class_can_judge_is_inconclusive() -> None:
    nothing = frozenset[str]()
    pairs = [Pair(nothing, str(n), Verdicted(nothing, 0.0), Verdicted(nothing, 0.0))
             for n in range(30)]  # fmt: skip
    said = verdict(pairs)
    assert said.verdict == "inconclusive"
    assert "no class has two held-out examples" in said.reason


@pytest.mark.parametrize("metric", ["balanced_accuracy", "log_loss"])
def test_figures_of_one_label_do_not_decide(metric: str) -> None:
    with pytest.raises(HeadstartError, match="is not of models of several labels"):
        verdict(drawn(7, 20, candidate=0.9, incumbent=0.9), metric=metric)
