"""A class's figures and balanced accuracy against scikit-learn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support, recall_score

from app.core.class_figures import Interval, balanced_accuracy, of_class

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


def share(hits: float, total: float) -> Interval:
    return {"value": hits / total if total else None}


@given(PAIRS)
def test_they_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    true, said = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    present = sorted(set(true))
    theirs = precision_recall_fscore_support(true, said, labels=present, zero_division=0)
    for place, c in enumerate(present):
        hits = sum(pair == (c, c) for pair in pairs)
        found = of_class(hits=hits, support=true.count(c), predicted=said.count(c), share=share)
        for name, expected in zip(("precision", "recall", "f1"), theirs, strict=False):
            assert (found[name]["value"] or 0.0) == pytest.approx(expected[place])


@given(PAIRS)
def test_balanced_accuracy_is_the_mean_recall_of_present_classes(
    pairs: list[tuple[int, int]],
) -> None:
    true, said = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    classes = [(sum(p == (c, c) for p in pairs), true.count(c)) for c in range(4)]
    expected = recall_score(true, said, labels=sorted(set(true)), average="macro")
    assert balanced_accuracy(classes, share)["value"] == pytest.approx(expected)


def test_of_nothing_nothing_is_told() -> None:
    assert balanced_accuracy([(0, 0)], share) == {"value": None}
