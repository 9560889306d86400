"""Flipped labels are found by either witness, honest ones are not, and each has its reason."""

from __future__ import annotations

from statistics import fmean

import pytest
import torch
from torch import Tensor

from worker.ml.assess import label_errors

CLASSES = 10


def drawn(seed: int, *, per_class: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities of a head that is right and unsure, true labels, and rows in clouds."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(CLASSES * per_class) % CLASSES
    hot = torch.nn.functional.one_hot(labels, CLASSES).float()
    noise = torch.randn(len(labels), CLASSES, generator=generator)
    points = torch.randn(CLASSES, 32, generator=generator)
    rows = points[labels] + 0.4 * torch.randn(len(labels), 32, generator=generator)
    return (2.5 * hot + 0.6 * noise).softmax(1), labels, torch.nn.functional.normalize(rows, dim=1)


def flipped(labels: Tensor, wrong: list[int]) -> Tensor:
    told = labels.clone()
    told[wrong] = (told[wrong] + 3) % CLASSES
    return told


def known(labels: Tensor) -> Tensor:
    return torch.ones(len(labels), dtype=torch.bool)


def test_neighbours_name_what_an_unsure_fit_does_not() -> None:
    p, labels, rows = drawn(0)
    wrong = [3, 40, 77, 101]
    told = flipped(labels, wrong)
    both = label_errors.suspects(p, told, known(told), rows)
    assert set(both.rows) == set(wrong)
    assert both.suggested == labels[both.rows].tolist()
    assert all(doubt >= label_errors.DENIED_BY_BOTH for doubt in both.doubt)
    alone = label_errors.suspects(p[:30], told[:30], known(told[:30]), rows[:30])
    assert (alone.compared, alone.sharing) == (0, [0] * len(alone.rows))
    assert both.compared == label_errors.NEAREST
    assert max(both.sharing) == 0
    assert min(both.suggesting) > 4


def test_honest_labels_are_not_accused() -> None:
    for seed in range(5):
        p, labels, rows = drawn(seed)
        assert label_errors.suspects(p, labels, known(labels), rows).rows == []


def test_the_most_doubtful_come_first_and_unjudged_ones_never() -> None:
    p, labels, rows = drawn(0)
    told, judged = flipped(labels, [3, 40, 77, 101]), known(labels)
    judged[40] = False
    found = label_errors.suspects(p, told, judged, rows)
    assert set(found.rows) == {3, 77, 101}
    assert found.doubt == sorted(found.doubt, reverse=True)


def test_there_is_an_end_to_the_list() -> None:
    p, labels, rows = drawn(2, per_class=60)
    told = labels.clone()
    told[: label_errors.MOST + 50] = (told[: label_errors.MOST + 50] + 1) % CLASSES
    found = label_errors.suspects(p[:300], told[:300], known(told[:300]), rows[:300])
    assert len(found.rows) <= label_errors.MOST


def test_rows_that_are_all_alike_are_survived() -> None:
    p, labels, _ = drawn(3)
    for rows in (torch.zeros(len(labels), 4), torch.ones(len(labels), 4)):
        label_errors.suspects(p, labels, known(labels), rows)


def poor(seed: int, count: int, sharpness: float) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities of a fit that errs as often as it says, labels of which one in twenty is
    flipped, and which those are."""
    generator = torch.Generator().manual_seed(seed)
    p = (sharpness * torch.randn(count, 3, generator=generator)).softmax(1)
    true = torch.multinomial(p, 1, generator=generator)[:, 0]
    wrong = torch.rand(count, generator=generator) < 0.05
    step = torch.randint(1, 3, (count,), generator=generator)
    return p, torch.where(wrong, (true + step) % 3, true), wrong


@pytest.mark.parametrize("count", [14, 60])
@pytest.mark.parametrize("sharpness", [1.5, 2.5])
def test_a_poor_fit_is_no_surer_than_it_is_right(count: int, sharpness: float) -> None:
    told, right, errors = [], [], []
    for seed in range(400):
        p, labels, wrong = poor(seed, count, sharpness)
        rows = torch.zeros(count, 2)
        rows[:, 0] = 1
        found = label_errors.suspects(p, labels, known(labels), rows)
        told += found.doubt
        right += wrong[found.rows].tolist()
        errors.append(float((p.argmax(1) != labels).float().mean()))
    assert 0.15 < fmean(errors) < 0.5
    assert len(told) > 100
    assert fmean(told) <= fmean(right) + 0.1


def test_fewer_examples_are_less_sure() -> None:
    _, labels, _ = drawn(0, per_class=2)
    doubts = []
    for repeats in (1, 20):
        told = flipped(labels, [3]).repeat(repeats)
        sharp = torch.nn.functional.one_hot(labels, CLASSES).float().mul(8).softmax(1)
        one = label_errors.suspects(
            sharp.repeat(repeats, 1), told, known(told), torch.ones(len(told), 2)
        )
        doubts.append(one.doubt[0])
    assert doubts[0] < doubts[1]
