"""Many near copies are judged together; few are only named, and none are made up."""

from __future__ import annotations

import torch
from torch import Tensor

from worker.ml.assess import near_copies
from worker.ml.features.spaces import unit
from worker.ml.folds import Folds

RANDOM = torch.Generator().manual_seed(0)


def copied(originals: int, copies: int, noise: float = 0.01) -> tuple[Tensor, Tensor]:
    """Unit rows of `originals` pictures of two classes, each `copies` times, and their labels."""
    rows = torch.randn(originals, 40, generator=RANDOM).repeat_interleave(copies, 0)
    rows = rows + noise * torch.randn(rows.shape, generator=RANDOM)
    return unit(rows), (torch.arange(originals) % 2).repeat_interleave(copies)


def test_copies_of_a_picture_are_one_group() -> None:
    rows, labels = copied(12, 3)
    groups = near_copies.joined(rows, labels, torch.arange(36))
    assert groups is not None
    assert groups.tolist() == torch.arange(12).repeat_interleave(3).tolist()


def test_groups_that_are_told_are_kept_and_joined_by_copies() -> None:
    rows, labels = copied(12, 3)
    told = torch.arange(36) // 6  # pictures in pairs, of both classes
    groups = near_copies.joined(rows, labels, told)
    assert groups is None  # no copy is outside its group


def test_different_pictures_and_few_copies_stay_apart() -> None:
    rows, labels = copied(40, 1)
    assert near_copies.joined(rows, labels, torch.arange(40)) is None
    rows[1] = rows[3]  # two of forty
    assert near_copies.joined(rows, labels, torch.arange(40)) is None


def test_what_would_leave_no_folds_stays_apart() -> None:
    rows, labels = copied(2, 30)
    assert near_copies.joined(rows, labels, torch.arange(60)) is None


def test_no_fold_tears_joined_copies_apart() -> None:
    rows, labels = copied(20, 4)
    groups = near_copies.joined(rows, labels, torch.arange(80))
    assert groups is not None
    support = type(
        "Set", (), {"labels": labels, "groups": groups, "classes": ("a", "b"), "augmented": None}
    )
    fold = Folds.of(support).fold.reshape(20, 4)  # type: ignore[arg-type]
    assert (fold == fold[:, :1]).all()


def test_what_is_known_to_be_copied_is_one_group_whatever_its_class() -> None:
    labels, copies = torch.tensor([0, 0, 0, 0, 1, 1, 1]), torch.tensor([5, 5, 6, 7, 5, 8, 9])
    groups = near_copies.known(copies, labels, torch.arange(7))
    assert groups is not None
    assert groups.tolist() == [0, 0, 1, 2, 0, 3, 4]


def test_more_than_half_a_class_stays_as_it_is() -> None:
    labels, copies = torch.tensor([0, 0, 0, 1, 1, 1, 1]), torch.tensor([1, 1, 1, 2, 2, 3, 4])
    groups = near_copies.known(copies, labels, torch.arange(7))
    assert groups is not None
    assert groups.tolist() == [0, 1, 2, 3, 3, 4, 5]
    assert near_copies.known(torch.arange(7), labels, torch.arange(7)) is None


def test_copies_go_where_their_original_goes() -> None:
    groups, together = torch.tensor([4, 5, 6]), torch.tensor([0, 0, 1])
    every = torch.tensor([4, 5, 6, 6, 5, 4])
    assert near_copies.followed(groups, together, every).tolist() == [0, 0, 1, 1, 0, 0]
    assert near_copies.followed(groups, together, groups) is together


def test_errors_with_a_near_copy_under_another_label_are_counted() -> None:
    copies = torch.tensor([4, 4, 5, 5, 6, 7, 4])
    labels, said = torch.tensor([0, 1, 1, 1, 0, 1, 0]), torch.tensor([1, 1, 0, 1, 1, 0, 1])
    judged = torch.tensor([True] * 5 + [False, True])
    assert near_copies.contradicting(copies, labels, said, judged) == {
        "count": 2,
        "errors": 4,
        "message": "2 of the 4 counted as wrong are near copies under another label",
    }
    judged[6] = False
    one = near_copies.contradicting(copies, labels, said, judged)
    assert one is not None
    assert one["message"].startswith("1 of the 3 counted as wrong is a near copy under")
    assert near_copies.contradicting(copies, labels, labels, judged) is None
    assert near_copies.contradicting(torch.arange(7), labels, said, judged) is None
    assert near_copies.contradicting(None, labels, said, judged) is None
