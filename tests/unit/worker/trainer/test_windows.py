"""A window beside the first inputs: what it shows, and if labels tell inputs from their mix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.core.live.drifting import LEAST_LABELLED, LONGER
from worker.trainer.windows import Sample, labelled_sizes, told_apart, window_result

pytestmark = pytest.mark.slow

CLASSES = ("a", "b", "c")


def sample(random: np.random.Generator, size: int, shift: float = 0.0) -> Sample:
    rows = random.normal(size=(size, 8)) + shift
    answers = [{"label": "a" if row[0] > 0 else "b", "scores": {"a": 1.0}} for row in rows]
    return Sample(embeddings=rows, answers=answers, labels=["a"] * size)


def drawn(
    random: np.random.Generator,
    size: int,
    *,
    mix: tuple[float, ...] = (0.6, 0.2, 0.2),
    shift: float = 0.0,
    labelled: int | None = None,
) -> Sample:
    """Inputs of classes that lie apart; so many of them have a label."""
    classes = random.choice(len(CLASSES), size, p=mix)
    rows = random.normal(size=(size, 8)) + 4 * np.eye(8)[classes] + shift
    scores = 0.85 * np.eye(len(CLASSES))[classes] + 0.05
    answers = [
        {"label": CLASSES[at], "scores": dict(zip(CLASSES, row, strict=True))}
        for at, row in zip(classes, scores.tolist(), strict=True)
    ]
    labels: list[str | None] = [CLASSES[at] for at in classes]
    kept = size if labelled is None else labelled
    return Sample(
        embeddings=rows, answers=answers, labels=[*labels[:kept], *[None] * (size - kept)]
    )


def change(reference: Sample, window: Sample) -> Any:
    return window_result(reference, window, 1)["change"]


def test_a_window_names_its_strangest_inputs_and_its_mix() -> None:
    random = np.random.default_rng(2)
    reference, window = sample(random, 100), sample(random, 50)
    window.embeddings[17] += 50
    found = window_result(reference, window, 1)
    assert found["drifted"] is False
    assert found["strangest"][0][0] == 17
    assert sum(one["window"] for one in found["class_mix"]) == pytest.approx(1)
    assert found["given_class"]["labelled"] == [100, 50]
    assert window_result(reference, sample(random, 50, 1.0), 2)["drifted"] is True
    assert window_result(reference, window, 1) == found, "the same window, the same answer"


def test_labels_tell_another_mix_from_other_inputs() -> None:
    random = np.random.default_rng(3)
    reference, often = drawn(random, 120), (0.1, 0.45, 0.45)
    assert change(reference, drawn(random, 80, mix=often)) == "class_mix"
    assert change(reference, drawn(random, 80, shift=1.0)) == "inputs"
    assert change(reference, drawn(random, 80, mix=often, shift=1.0)) == "both"
    quiet = window_result(reference, drawn(random, 80), 1)
    assert (quiet["drifted"], quiet["change"]) == (False, None)
    assert min(quiet["given_class"]["p"], quiet["labelled_mix"]["p"]) > 0.01


def test_a_small_change_that_all_inputs_share_is_seen_beside_another_mix() -> None:
    """It is much smaller than what parts the classes, whose shares differ, too."""
    random = np.random.default_rng(4)
    reference = drawn(random, 200)
    window = drawn(random, 150, mix=(0.1, 0.45, 0.45), shift=0.3)
    found = told_apart(reference, window, 1, drifted=True)
    assert found["change"] == "both"
    assert found["given_class"]["p"] <= 0.002


def test_within_classes_p_is_uniform_whatever_their_mix_is() -> None:
    random = np.random.default_rng(5)
    found = [
        told_apart(drawn(random, 60), drawn(random, 40, mix=(0.2, 0.4, 0.4)), seed, drifted=True)[
            "given_class"
        ]["p"]
        for seed in range(150)
    ]
    assert np.mean(np.array(found) <= 0.05) <= 0.1


def test_too_few_labels_tell_nothing_of_it() -> None:
    random = np.random.default_rng(6)
    reference, few = drawn(random, 80), LEAST_LABELLED - 1
    window = drawn(random, 50, mix=(0.1, 0.45, 0.45), labelled=few)
    assert labelled_sizes(reference.labels, window.labels)[1] == few
    found = window_result(reference, window, 1)
    assert found["drifted"] is True
    assert [found[name] for name in ("given_class", "labelled_mix", "change")] == [None] * 3


def test_labels_that_cannot_decide_say_so() -> None:
    random = np.random.default_rng(7)
    found = told_apart(drawn(random, 60), drawn(random, 40), 1, drifted=True)
    assert found["change"] == "undecided"


def test_a_class_that_comes_a_little_more_often_is_found_in_four_windows_together() -> None:
    random = np.random.default_rng(8)
    reference = drawn(random, 150)
    parts = [drawn(random, 25, mix=(0.35, 0.45, 0.2)) for _ in range(LONGER)]
    before = [one.answers for one in parts[:-1]]
    alone = window_result(reference, parts[-1], LONGER)
    together = window_result(reference, parts[-1], LONGER, before)
    assert (alone["drifted"], alone["outputs_mean_of_four"]) == (False, None)
    assert together["drifted"] is True
    assert together["outputs_mean_of_four"]["p"] < alone["outputs_mean"]["p"]
    assert window_result(reference, parts[-1], LONGER + 1, before)["outputs_mean_of_four"] is None
