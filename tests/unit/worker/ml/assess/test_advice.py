"""Advice: what is confused, mislabelled, alike, and what more examples should bring."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import torch
from torch import Tensor

from worker.ml.assess import advice
from worker.ml.assess.advice import Evidence, Set
from worker.ml.assess.learning_curve import Point

CLASSES = ["bolt", "crack", "dent"]
POINTS = [
    Point(per_class=1, accuracy=0.5, judged=90),
    Point(per_class=4, accuracy=0.68, judged=90),
    Point(per_class=24, accuracy=0.85, judged=90),
]


def evidence(
    probabilities: Tensor | None, labels: Tensor, points: list[Point] | None = None
) -> Evidence:
    rows = torch.nn.functional.normalize(torch.randn(len(labels), 8), dim=1)
    ids = [f"ex_{row}" for row in range(len(labels))]
    return Evidence(
        probabilities=probabilities,
        labels=labels,
        groups=torch.arange(len(labels)),
        known=torch.ones(len(labels), dtype=torch.bool),
        classes=CLASSES,
        points=POINTS if points is None else points,
        sets=[Set(rows=rows, ids=ids, split="train")],
    )


def sure(said: Tensor, confidence: float = 0.9) -> Tensor:
    rest = (1 - confidence) / (len(CLASSES) - 1)
    return torch.nn.functional.one_hot(said, len(CLASSES)) * (confidence - rest) + rest


LABELS = torch.arange(90) % 3
SAID = LABELS.clone()
SAID[1:40:3] = 2  # thirteen cracks are taken for dents


class TestMoreExamples:
    def test_the_class_with_most_errors_comes_first(self) -> None:
        found = advice.more_examples(evidence(sure(SAID), LABELS))
        assert {found[0]["label"], found[1]["label"]} == {"crack", "dent"}
        assert "bolt" not in [item["label"] for item in found if item["gain"] > 0.02]
        assert found[0]["gain"] >= found[1]["gain"] > 0

    def test_the_message_is_a_sentence_with_its_doubt(self) -> None:
        found = advice.more_examples(evidence(sure(SAID), LABELS))[0]
        assert re.fullmatch(
            r"\d+ more of `\w+` should bring its F1 \+\d+(\.\d)? ± \d+(\.\d)? points",
            found["message"],
        )

    def test_all_classes_together_gain_by_the_law(self) -> None:
        found = advice.more_of_all(evidence(sure(SAID), LABELS))
        assert found is not None
        assert found["add"] == 30
        assert 0.01 < found["gain"] < 0.08

    def test_where_more_examples_made_it_no_better_nothing_is_promised(self) -> None:
        worse = [Point(per_class=m, accuracy=0.9 - 0.05 * m, judged=900) for m in (1, 2, 4, 8)]
        found = advice.more_of_all(evidence(sure(SAID), LABELS, worse))
        assert found is not None
        assert found["gain"] == 0
        assert found["plus_minus"] > 0
        assert advice.more_examples(evidence(sure(SAID), LABELS, worse)) == []

    def test_without_folds_nothing_is_promised(self) -> None:
        found = advice.advise(evidence(None, torch.arange(3), points=[]))
        assert found["more_examples"] == []
        assert found["more_of_all"] is None
        assert found["learning_curve"] is None

    def test_a_perfect_head_needs_nothing(self) -> None:
        perfect = [Point(per_class=24, accuracy=1.0, judged=9000)]
        labels = torch.arange(9000) % 3
        assert advice.more_examples(evidence(sure(labels), labels, perfect)) == []


class TestConfused:
    def test_pairs_count_both_ways(self) -> None:
        said = SAID.clone()
        said[2] = 1
        (pair,) = advice.confused(evidence(sure(said), LABELS))
        assert pair["labels"] == ["crack", "dent"]
        assert pair["count"] == 14
        assert pair["share"] == pytest.approx(14 / 60)

    def test_a_single_slip_is_no_pair(self) -> None:
        said = LABELS.clone()
        said[0] = 1
        assert advice.confused(evidence(sure(said), LABELS)) == []


class TestMislabelled:
    def test_flipped_labels_are_found_and_their_own_class_suggested(self) -> None:
        random = torch.Generator().manual_seed(0)
        logits = 6 * torch.nn.functional.one_hot(LABELS, 3) + torch.randn(90, 3, generator=random)
        flipped = LABELS.clone()
        wrong = [4, 33, 71]
        flipped[wrong] = (flipped[wrong] + 1) % 3
        found = advice.mislabelled(evidence(logits.softmax(1), flipped))
        assert {item["example_id"] for item in found} >= {f"ex_{row}" for row in wrong}
        assert len(found) <= len(wrong) + 2
        for item in found:
            row = int(item["example_id"][3:])
            if row in wrong:
                assert item["suggested"] == CLASSES[int(LABELS[row])]

    def test_honest_doubt_is_no_accusation(self) -> None:
        assert advice.mislabelled(evidence(sure(SAID, 0.6), LABELS)) == []


class TestNearDuplicates:
    def test_pairs_across_splits_are_named_most_alike_first(self) -> None:
        train = torch.nn.functional.normalize(torch.randn(1500, 64), dim=1)
        val = torch.nn.functional.normalize(torch.randn(5, 64), dim=1)
        val[3] = train[1200]
        val[1] = torch.nn.functional.normalize(train[7] + 0.01 * torch.randn(64), dim=0)
        found = advice.near_duplicates(
            [
                Set(rows=train, ids=[f"t{row}" for row in range(1500)], split="train"),
                Set(rows=val, ids=[f"v{row}" for row in range(5)], split="val"),
            ]
        )
        assert [pair["example_ids"] for pair in found] == [["t1200", "v3"], ["t7", "v1"]]
        assert found[0]["splits"] == ["train", "val"]

    def test_one_split_has_none(self) -> None:
        rows = torch.ones(4, 1)
        assert advice.near_duplicates([Set(rows=rows, ids=list("abcd"), split="train")]) == []


class TestNearCopies:
    def given(self, groups: list[int], labels: list[int]) -> dict[str, Any] | None:
        rows = torch.nn.functional.normalize(torch.randn(6, 64), dim=1)
        rows[4] = torch.nn.functional.normalize(rows[1] + 0.02 * torch.randn(64), dim=0)
        return advice.near_copies(
            Evidence(
                probabilities=None,
                labels=torch.tensor(labels),
                groups=torch.tensor(groups),
                known=torch.ones(len(labels), dtype=torch.bool),
                classes=CLASSES,
                points=[],
                sets=[Set(rows=rows, ids=list("abcdef"), split="train")],
            )
        )

    def test_a_pair_that_folds_may_tear_apart_is_named(self) -> None:
        found = self.given(groups=[0, 1, 2, 3, 4, 5], labels=[0, 0, 1, 1, 0, 1])
        assert found is not None
        assert (found["count"], found["of"]) == (2, 6)
        assert [pair["example_ids"] for pair in found["pairs"]] == [["b", "e"]]
        assert "`group`" in found["message"]

    def test_a_pair_of_one_group_is_together_already(self) -> None:
        assert self.given(groups=[0, 1, 2, 3, 1, 5], labels=[0, 0, 1, 1, 0, 1]) is None

    def test_a_pair_of_two_classes_is_no_copy(self) -> None:
        assert self.given(groups=[0, 1, 2, 3, 4, 5], labels=[0, 0, 1, 1, 1, 1]) is None


def test_all_of_it_is_json() -> None:
    json.dumps(advice.advise(evidence(sure(SAID), LABELS)), allow_nan=False)


def test_what_all_classes_gain_has_the_luck_of_the_draw() -> None:
    labels = torch.arange(30) % 3
    few = advice.more_of_all(evidence(None, labels))
    many = advice.more_of_all(evidence(None, labels.repeat(100)))
    assert few is not None
    assert many is not None
    assert few["plus_minus"] >= advice.LUCK_OF_ALL * (0.1 * 0.9 / 30) ** 0.5
    assert many["plus_minus"] < few["plus_minus"]
    for found in (few, many):
        assert found["low"] < found["gain"] <= found["high"] <= 1
        assert found["gain"] - found["low"] > 1.96 * found["plus_minus"]
