"""What the gate says of candidates that are better, worse, poisoned, or hard to tell apart."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.promotion.gate import Decision, PromotionGate, decide
from app.core.promotion.pairs import Pair
from app.core.promotion.spending import Budget
from tests.unit.app.core.promotion.drawing import answer, draw, pairs_of

FIRST = Budget(0.05)


def verdict(pairs: list[Pair], budget: Budget = FIRST, **gate: object) -> Decision:
    return decide(pairs, PromotionGate.model_validate(gate), budget, draws=200)


def test_a_candidate_that_is_evidently_as_good_is_promoted() -> None:
    said = verdict(pairs_of(won=20, lost=5, right=450, wrong=25))
    assert said.verdict == "promoted"
    assert "0.0300 better on 500 held-out examples" in said.reason
    assert said.evidence["discordant"] == {"candidate_right": 20, "incumbent_right": 5}


def test_a_poisoned_candidate_is_refused() -> None:
    said = verdict(pairs_of(won=5, lost=200, right=250, wrong=45))
    assert said.verdict == "refused"
    assert "evidently worse by more than 0.02" in said.reason


def test_few_examples_say_how_many_more_would_decide() -> None:
    said = verdict(pairs_of(won=1, lost=1, right=25, wrong=3))
    assert said.verdict == "inconclusive"
    assert said.evidence["more_labels"] > 0
    assert f"about {said.evidence['more_labels']} more labelled examples" in said.reason


@pytest.mark.parametrize("look", [1.0, 2.5, 6.0])
@pytest.mark.parametrize(("won", "lost"), [(0, 0), (1, 1), (2, 8)])
def test_as_many_more_as_it_says_decide(look: float, won: int, lost: int) -> None:
    """At the next look, which is dearer; the same that many times over."""
    before = pairs_of(won=won, lost=lost, right=140, wrong=10)
    budget = Budget(0.05, look=look, fresh=0.0)
    said = decide(before, PromotionGate(), budget, draws=20)
    assert said.verdict == "inconclusive"
    more = said.evidence["more_labels"]
    assert f"about {more} more labelled example" in said.reason
    times = 1 + more / len(before)
    after = pairs_of(
        won=round(won * times), lost=round(lost * times), right=round(140 * times), wrong=10
    )
    decided = decide(after, PromotionGate(), budget.after(more / len(before)), draws=20)
    assert decided.verdict == ("refused" if lost > 5 else "promoted")


def test_superiority_cannot_be_shown_with_few_discordant_pairs() -> None:
    said = verdict(pairs_of(won=4, right=96), rule="superior")
    assert said.verdict == "inconclusive"
    assert "the models differ in 4 of them, and below 6 nothing can be shown" in said.reason
    assert verdict(pairs_of(won=6, right=94), rule="superior").verdict == "promoted"


def _uneven(common: tuple[int, int], rare: tuple[int, int]) -> list[Pair]:
    """200 examples of a common class and 40 of a rare one; of each, how many the candidate and the
    incumbent have right."""
    counts = {"common": (200, *common), "rare": (40, *rare)}
    return [
        Pair(label, f"{label} {n}", answer(label, right=n < one), answer(label, right=n < other))
        for label, (count, one, other) in counts.items()
        for n in range(count)
    ]


def test_a_candidate_for_equal_classes_is_judged_by_their_mean() -> None:
    """It has learned from more of the rare one; a share of all examples tells of the other."""
    pairs = _uneven((180, 200), (36, 8))
    gate = PromotionGate()
    said = decide(pairs, gate, FIRST, equal_classes=True, draws=200)
    assert (said.verdict, said.evidence["metric"]) == ("promoted", "balanced_accuracy")
    assert "balanced accuracy is 0.3000 better on 240 held-out examples" in said.reason
    by_share = decide(pairs, gate, FIRST, draws=200)
    assert (by_share.verdict, by_share.evidence["metric"]) == ("inconclusive", "accuracy")
    asked = decide(pairs, PromotionGate(metric="accuracy"), FIRST, equal_classes=True, draws=200)
    assert asked.evidence["metric"] == "accuracy"
    worse = decide(_uneven((200, 180), (8, 36)), gate, FIRST, equal_classes=True, draws=200)
    assert worse.verdict == "refused"


def test_classes_that_are_nearly_even_are_judged_by_the_exact_test() -> None:
    pairs = pairs_of(won=20, lost=5, right=450, wrong=25)
    said = decide(pairs, PromotionGate(), FIRST, equal_classes=True, draws=200)
    assert said.evidence["metric"] == "accuracy"


def test_a_floor_refuses_what_is_better_all_in_all() -> None:
    pairs = pairs_of(won=30, lost=2, right=400, wrong=20)
    rare = [Pair("rare", f"rare {n}", answer("rare", right=n < 3), answer("rare", right=n < 3))
            for n in range(10)]  # fmt: skip
    assert verdict([*pairs, *rare], floors={"rare": 0.2}).verdict == "promoted"
    said = verdict([*pairs, *rare], floors={"rare": 0.5})
    assert (said.verdict, said.reason) == (
        "refused",
        "recall of 'rare' is 0.300 of 10 examples, below its floor of 0.5",
    )
    unseen = verdict(pairs, floors={"unseen": 0.5})
    assert unseen.verdict == "inconclusive"
    assert "'unseen'" in unseen.reason


def test_what_rare_classes_pay_for_is_refused() -> None:
    pairs = pairs_of(won=45, right=460)
    rare = [Pair("rare", f"rare {n}", answer("rare", right=False), answer("rare", right=True))
            for n in range(20)]  # fmt: skip
    said = verdict([*pairs, *rare])
    assert said.verdict == "refused"
    assert "rare classes pay" in said.reason


def test_examples_of_one_group_count_together() -> None:
    alone = verdict(pairs_of(won=10, lost=2, right=288))
    grouped = verdict(pairs_of(won=10, lost=2, right=288, group=10))
    assert grouped.evidence["groups"] == 30
    assert grouped.evidence["design_effect"] > 1
    assert grouped.evidence["p_value"] > alone.evidence["p_value"]
    few = verdict(pairs_of(won=10, lost=2, right=288, group=100))
    assert few.verdict == "inconclusive"
    assert "3 groups" in few.reason


def test_a_worn_set_is_harder_to_convince() -> None:
    pairs = pairs_of(won=8, lost=6, right=460, wrong=26)
    assert verdict(pairs, Budget(0.05)).verdict == "promoted"
    worn = verdict(pairs, Budget(0.05, look=40.0, fresh=0.0))
    assert worn.verdict == "inconclusive"
    assert worn.evidence["alpha"]["look"] == 40


@pytest.mark.parametrize("metric", ["balanced_accuracy", "log_loss"])
def test_other_metrics_may_decide(metric: str) -> None:
    better = verdict(pairs_of(won=20, lost=5, right=450, wrong=25), metric=metric)
    assert better.verdict == "promoted"
    worse = verdict(pairs_of(won=5, lost=100, right=350, wrong=45), metric=metric)
    assert worse.verdict == "refused"


def test_without_an_incumbent_only_floors_can_refuse() -> None:
    first = [Pair("a", str(n), answer("a", right=n < 8)) for n in range(10)]
    assert verdict(first).verdict == "promoted"
    assert verdict(first, floors={"a": 0.9}).verdict == "refused"


def test_without_examples_nothing_is_promoted() -> None:
    assert verdict([]).verdict == "inconclusive"


@given(
    counts=st.tuples(*[st.integers(0, 60)] * 4).filter(any),
    rule=st.sampled_from(["non_inferior", "superior"]),
    look=st.integers(1, 60),
    group=st.integers(1, 7),
)
@settings(max_examples=60, deadline=None)
def test_a_verdict_is_plain_data_and_its_reason_fits(
    counts: tuple[int, int, int, int], rule: str, look: int, group: int
) -> None:
    won, lost, right, wrong = counts
    pairs = pairs_of(won=won, lost=lost, right=right, wrong=wrong, group=group)
    said = decide(pairs, PromotionGate(rule=rule), Budget(0.05, look=look), draws=20)
    assert json.loads(json.dumps(said.evidence, allow_nan=False)) == said.evidence
    if said.verdict == "promoted":
        assert said.evidence["p_value"] <= said.evidence["level"]
    if won < lost:
        assert rule == "non_inferior" or said.verdict != "promoted"


def test_a_candidate_that_is_worse_by_the_margin_is_seldom_promoted() -> None:
    random, promoted = Random(7), 0
    for _ in range(200):
        pairs = draw(random, 150, won=0.05, lost=0.08, accuracy=0.9)
        promoted += decide(pairs, PromotionGate(), FIRST, draws=1).verdict == "promoted"
    assert promoted <= 14
