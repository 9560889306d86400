"""Flipped labels are found by either witness, honest ones are not, and each has its reason."""

from __future__ import annotations

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
