"""Near copies within what is held out: intervals are as wide as what they are copies of tells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.unit.worker.ml.multi_label.marked import drawn, marked
from tests.unit.worker.ml.tasks import clouds, task
from worker.ml import fit
from worker.ml.assess.near_copies import merged
from worker.ml.tasks import Support

TIMES = 8


def copied(support: Support) -> Support:
    """Each example so many times, told to be near copies."""
    rows = torch.arange(len(support)).repeat_interleave(TIMES)
    made = support.take(rows)
    ids = [f"{one} {place}" for place, one in enumerate(made.ids)]
    return replace(made, groups=torch.arange(len(rows)), ids=ids, copies=rows)


def width(told: dict[str, Any]) -> float:
    return float(told["high"] - told["low"])


def test_groups_and_copies_are_one() -> None:
    copies, groups = torch.tensor([5, 5, 6, 7, 7]), torch.tensor([0, 1, 1, 2, 3])
    assert merged(copies, groups).tolist() == [0, 0, 0, 1, 1]
    assert merged(None, groups) is groups


@pytest.mark.parametrize("method", ["auto", "logistic"])
def test_copies_do_not_narrow_the_interval(method: str) -> None:
    support, other = clouds([12, 12], seed=1), clouds([8, 8], seed=2)
    once = fit.fit(task(support, method, validation=other)).evaluation
    often = fit.fit(task(support, method, validation=copied(other))).evaluation
    assert often["accuracy"]["value"] == once["accuracy"]["value"]
    assert width(often["accuracy"]) == pytest.approx(width(once["accuracy"]), rel=0.02)
    assert often["how"]["near_copies"] == "judged together"
    assert "near_copies" not in once["how"]


def test_what_of_the_errors_are_copies_under_another_label_is_told() -> None:
    support, other = clouds([12, 12], seed=1), clouds([8, 8], seed=2)
    assert "contradicting_copies" not in fit.fit(task(support, validation=other)).evaluation["how"]
    found = fit.fit(task(contradicted(support), validation=contradicted(other)))
    for said, count in (
        (found.evaluation["how"]["contradicting_copies"], 4),
        (found.evaluation["out_of_fold"]["how"]["contradicting_copies"], 4),
        (found.advice["near_copies"]["contradicting"], 4),
    ):
        assert count <= said["count"] <= said["errors"]
        told = f"{said['count']} of the {said['errors']} counted as wrong are near copies under"
        assert said["message"].startswith(told)


def contradicted(support: Support) -> Support:
    """With its first four once more, under the other label."""
    again = support.take(torch.arange(4))
    rows = torch.cat([torch.arange(len(support)), torch.arange(4)])
    made = support.take(rows)
    labels = torch.cat([support.labels, 1 - again.labels])
    ids = [f"{one} {place}" for place, one in enumerate(made.ids)]
    return replace(made, labels=labels, groups=torch.arange(len(rows)), ids=ids, copies=rows)


def test_copies_do_not_narrow_the_intervals_of_several_labels() -> None:
    support, other = marked(drawn(40), noise=2.0), marked(drawn(24, seed=9), seed=3, noise=2.0)
    once = fit.fit(task(support, validation=other)).evaluation
    often = fit.fit(task(support, validation=copied(other))).evaluation
    for name in ("exact_match", "mean_average_precision"):
        assert often[name]["value"] == pytest.approx(once[name]["value"])
        assert width(often[name]) > 0.6 * width(once[name])
