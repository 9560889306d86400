"""How `auto` weighs its spaces: by likelihood, less boldly the fewer examples there are."""

from __future__ import annotations

import math

import pytest
import torch

from tests.unit.worker.ml.tasks import LAYOUT, WIDTH
from worker.ml.fit import fit
from worker.ml.fitting.cross_fit import HeadFit
from worker.ml.folds import Canonical, Folds
from worker.ml.methods import auto
from worker.ml.tasks import Support, Task


def drawn(per_class: int, classes: int = 3) -> Support:
    random = torch.Generator().manual_seed(per_class)
    labels = torch.arange(per_class * classes) % classes
    centres = torch.rand(classes, WIDTH, generator=random)
    rows = centres[labels] + 0.2 * torch.rand(len(labels), WIDTH, generator=random)
    return Support(
        features={"squish": rows.half(), "mirror": rows.half()},
        labels=labels,
        groups=torch.arange(len(labels)),
        ids=[str(number) for number in range(len(labels))],
        classes=[str(number) for number in range(classes)],
    )


def spaces_of(support: Support) -> dict[str, float]:
    task = Task(
        method="auto", hyperparameters={}, support=support, layout=LAYOUT, backbone="made-up"
    )
    told = fit(task).hyperparameters["spaces"]
    return {space["name"]: space["weight"] for space in told}


def folds_of(per_class: int) -> Folds:
    return Folds.of(Canonical.of(drawn(per_class), 0).support)


@pytest.mark.parametrize(("per_class", "nats"), [(2, 4.0), (4, 2.0), (10, 2.0)])
def test_what_is_as_likely_counts_less_by_its_handicap(per_class: int, nats: float) -> None:
    folds = folds_of(per_class)
    logits = torch.eye(3, dtype=torch.double)[folds.labels]
    fit = HeadFit(torch.zeros(1, 3), torch.zeros(3), logits)
    shares = auto._shares({"A": fit, "C": fit}, folds)
    expected = math.exp(-nats) / (1 + math.exp(-nats))
    if expected < auto.NEGLIGIBLE:
        assert shares == {"A": 1.0}
    else:
        assert shares["C"] == pytest.approx(expected)


def test_two_folds_of_a_few_examples_give_no_space_the_whole_weight() -> None:
    assert max(spaces_of(drawn(2)).values()) < 0.9


def test_of_many_examples_the_parts_of_a_space_are_left_to_it() -> None:
    assert {"M", "T"} <= set(spaces_of(drawn(5)))
    assert not {"M", "T"} & set(spaces_of(drawn(110)))


def test_one_example_a_class_has_the_fixed_weights() -> None:
    assert set(spaces_of(drawn(1))) <= set(auto.FIXED)
