"""Figures from counts, held against scikit-learn, and counts that add up in any order."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support

from app.core.agreement import Tally, count, evaluate, merged, note_smoothed
from app.core.class_figures import wilson

LABELS = st.sampled_from(["a", "b", "c"])
PAIRS = st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=60)


def tally_of(pairs: list[tuple[str, str]], split: str = "test") -> Tally:
    tally: Tally = {}
    for label, predicted in pairs:
        count(tally, split=split, label=label, predicted=predicted, seen=False)
    return tally


@given(PAIRS)
def test_the_figures_are_scikit_learns(pairs: list[tuple[str, str]]) -> None:
    (found,) = evaluate(tally_of(pairs))
    true, predicted = zip(*pairs, strict=True)
    labels = [one["label"] for one in found["per_class"]]
    precision, recall, f1, support = precision_recall_fscore_support(
        true, predicted, labels=labels, zero_division=0
    )
    for at, one in enumerate(found["per_class"]):
        assert (one["precision"]["value"] or 0) == pytest.approx(precision[at])
        assert (one["recall"]["value"] or 0) == pytest.approx(recall[at])
        assert one["f1"]["value"] == pytest.approx(f1[at])
        assert one["support"] == support[at]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about classes that are only predicted
        balanced = balanced_accuracy_score(true, predicted)
    assert found["balanced_accuracy"]["value"] == pytest.approx(balanced)
    assert found["num_examples"] == len(pairs)
    assert sum(map(sum, found["confusion_matrix"]["counts"])) == len(pairs)


@given(PAIRS)
def test_every_interval_holds_its_value(pairs: list[tuple[str, str]]) -> None:
    (found,) = evaluate(tally_of(pairs))
    for figure in (
        found["accuracy"],
        found["balanced_accuracy"],
        *(one["f1"] for one in found["per_class"]),
    ):
        assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1


@given(PAIRS, st.integers(0, 60))
def test_counts_add_up_whatever_the_chunks(pairs: list[tuple[str, str]], at: int) -> None:
    whole, parts = tally_of(pairs), merged(tally_of(pairs[:at]), tally_of(pairs[at:]))
    assert evaluate(whole) == evaluate(json.loads(json.dumps(parts)))


def test_merging_changes_neither() -> None:
    one, other = tally_of([("a", "a")]), tally_of([("a", "b")], split="train")
    before = json.dumps([one, other])
    both = merged(merged(one, other), one)
    assert json.dumps([one, other]) == before
    assert [entry["split"] for entry in evaluate(both)] == ["train", "test"]


def test_balanced_accuracy_of_even_classes_is_as_sure_as_accuracy() -> None:
    pairs = [(f"l{at}", f"l{at}" if at % 3 else "l0") for at in range(77) for _ in range(2)]
    (found,) = evaluate(tally_of(pairs))
    assert found["balanced_accuracy"] == pytest.approx(found["accuracy"])
    assert found["balanced_accuracy"]["low"] < found["balanced_accuracy"]["value"] - 0.05
    assert found["balanced_accuracy"]["high"] > found["balanced_accuracy"]["value"] + 0.05


def test_the_interval_of_f1_is_that_of_its_jaccard_share() -> None:
    pairs = [("a", "a")] * 6 + [("a", "b")] * 2 + [("b", "a")] * 2 + [("b", "b")] * 10
    (found,) = evaluate(tally_of(pairs))
    low, high = wilson(6, 10)
    expected = {"value": 0.75, "low": 2 * low / (1 + low), "high": 2 * high / (1 + high)}
    assert found["per_class"][0]["f1"] == pytest.approx(expected)


def test_unknown_labels_are_left_out_and_said() -> None:
    tally: Tally = {}
    count(tally, split="val", label="z", predicted=None, seen=False)
    (found,) = evaluate(tally)
    assert (found["left_out"], found["num_examples"]) == (1, 0)
    nothing: dict[str, Any] = {"value": None, "low": None, "high": None}
    assert found["accuracy"] == found["balanced_accuracy"] == nothing


def test_each_row_is_gone_through_a_few_times_however_many_labels_there_are() -> None:
    class Row(dict[str, int]):
        looked_up = 0

        def get(self, *args: Any) -> Any:
            Row.looked_up += 1
            return super().get(*args)

    counts = {f"l{at}": Row({f"l{at}": 1}) for at in range(500)}
    evaluate({"test": {"counts": counts, "left_out": 0}})
    assert Row.looked_up < 5000


def test_a_huge_matrix_is_not_written_out() -> None:
    many = tally_of([(f"l{i}", f"l{i}") for i in range(300)])
    (found,) = evaluate(many)
    assert found["confusion_matrix"] is None
    assert found["accuracy"]["value"] == 1


@given(PAIRS)
def test_figures_of_what_was_trained_on_have_no_intervals(pairs: list[tuple[str, str]]) -> None:
    tally = tally_of(pairs)
    count(tally, split="test", label="a", predicted="a", seen=True)
    (found,) = evaluate(json.loads(json.dumps(tally)))
    assert found["seen_in_training"] == 1
    figures = [found["accuracy"], found["balanced_accuracy"]]
    figures += [one[name] for one in found["per_class"] for name in ("precision", "recall", "f1")]
    assert {(one["low"], one["high"]) for one in figures} == {(None, None)}
    (fresh,) = evaluate(tally_of([*pairs, ("a", "a")]))
    assert found["accuracy"]["value"] == fresh["accuracy"]["value"]
    assert fresh["seen_in_training"] == 0


def test_what_was_counted_before_or_is_not_known_stays_unknown() -> None:
    old = {"test": {"counts": {"a": {"a": 1}}, "left_out": 0}}
    (found,) = evaluate(merged(old, tally_of([("a", "a")])))
    assert (found["seen_in_training"], found["num_examples"]) == (None, 2)
    assert found["accuracy"]["low"] is not None
    gone: Tally = {}
    count(gone, split="test", label="a", predicted="a", seen=None)
    assert evaluate(merged(tally_of([("a", "a")]), gone))[0]["seen_in_training"] is None


def test_smoothed_predictions_are_counted_apart() -> None:
    one: Tally = {}
    count(one, split="val", label="a", predicted="a", seen=False)
    count(one, split="val", label="b", predicted=None, seen=False)
    note_smoothed(one)
    other: Tally = {}
    count(other, split="val", label="a", predicted="b", seen=False)
    (figures,) = evaluate(merged(one, other))
    assert (figures["smoothed"], figures["num_examples"]) == (1, 2)
    (plain,) = evaluate(merged({}, other))
    assert "smoothed" not in plain
