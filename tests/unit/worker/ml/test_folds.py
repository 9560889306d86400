"""Canonical order, duplicates, folds."""

from __future__ import annotations

from dataclasses import replace

import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.worker.ml.tasks import clouds
from worker.ml.folds import Canonical, Folds, assigned, balanced, fold_count

LABELLED = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=4, max_size=40)


def test_duplicates_are_one_example() -> None:
    support = clouds([4, 3])
    twice = support.take(torch.arange(7).repeat(2))
    assert sorted(Canonical.of(twice, 0).support.ids) == sorted(support.ids)


def test_the_same_content_under_two_labels_stays_and_shares_a_group() -> None:
    support = clouds([3, 3]).take(torch.tensor([0, 0, 1, 3, 4]))
    support = replace(support, labels=torch.tensor([0, 1, 0, 1, 1]), ids=list("abcde"))
    found = Canonical.of(support, 0).support
    pair = [row for row, name in enumerate(found.ids) if name in "ab"]
    assert len(found) == 5
    assert int(found.groups[pair[0]]) == int(found.groups[pair[1]])
    assert len(torch.unique(found.groups)) == 4


def test_the_order_does_not_depend_on_the_order_given() -> None:
    support = clouds([5, 4, 3])
    shuffled = support.take(torch.randperm(12, generator=torch.Generator().manual_seed(1)))
    first, second = (Canonical.of(s, 3).support for s in (support, shuffled))
    assert first.ids == second.ids
    assert torch.equal(first.labels, second.labels)
    assert first.classes == second.classes


def test_another_seed_is_another_order() -> None:
    support = clouds([8, 8])
    assert Canonical.of(support, 0).support.ids != Canonical.of(support, 1).support.ids


@given(st.permutations(range(4)), st.integers(0, 5))
def test_there_is_a_way_back_to_the_callers_classes(order: list[int], seed: int) -> None:
    support = clouds([3, 4, 5, 2])
    place = torch.argsort(torch.tensor(order))
    support = replace(support, labels=place[support.labels], classes=[f"c{c}" for c in order])
    found = Canonical.of(support.take(torch.nonzero(support.labels != 1)[:, 0]), seed)
    assert [found.classes[c] for c in found.caller.tolist()] == list(found.support.classes)
    hot = torch.nn.functional.one_hot(found.support.labels, 4)
    assert torch.equal(found.columns(hot).argmax(1), found.numbers(found.support.labels))
    assert torch.equal(found.columns(found.rows(torch.eye(4)).T), torch.eye(4))
    callers = dict(zip(support.ids, support.labels.tolist(), strict=True))
    renamed = found.renamed()
    assert renamed.labels.tolist() == [callers[name] for name in renamed.ids]
    assert list(renamed.classes) == list(support.classes)


@given(LABELLED)
def test_a_group_is_in_one_fold(rows: list[tuple[int, int]]) -> None:
    labels, groups = (torch.tensor(column) for column in zip(*rows, strict=True))
    fold = assigned(labels, groups, 3)
    for group in groups.unique().tolist():
        assert len(fold[groups == group].unique()) == 1


@given(st.lists(st.integers(1, 11), min_size=2, max_size=6), st.integers(2, 5))
def test_every_fold_has_the_same_share_of_every_class(counts: list[int], folds: int) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    fold = assigned(labels, torch.arange(len(labels)), folds)
    sizes = torch.bincount(fold, minlength=folds)
    assert int(sizes.max() - sizes.min()) <= 1
    for c in range(len(counts)):
        own = torch.bincount(fold[labels == c], minlength=folds)
        assert int(own.max() - own.min()) <= 1


def test_the_number_of_folds() -> None:
    def count(*counts: int) -> int:
        labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
        return fold_count(labels, torch.arange(len(labels)))

    assert count(1, 1, 1) == 0
    assert count(2, 2) == 2
    assert count(3, 4, 20) == 4
    assert count(50, 50) == 5
    assert count(1, 1, 9) == 0
    assert fold_count(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 1])) == 0


def test_balanced_weights_give_every_class_the_same_say() -> None:
    labels = torch.tensor([0, 0, 0, 0, 1, 2, 2])
    weights = balanced(labels, 4)
    sums = [float(weights[labels == c].sum()) for c in range(3)]
    assert max(sums) - min(sums) < 1e-9
    assert abs(float(weights.sum()) - 7) < 1e-9


def test_augmented_copies_are_neither_judged_nor_counted() -> None:
    support = clouds([4, 3])
    rows = torch.arange(7).repeat(3)
    copies = replace(
        support.take(rows), ids=list(map(str, range(21))), augmented=torch.arange(21) >= 7
    )
    found, alone = Folds.of(copies), Folds.of(support)
    assert found.count == alone.count
    assert found.per_class == alone.per_class == 3.5
    assert found.known.tolist() == [True] * 7 + [False] * 14
    assert all(bool((found.fold[copies.groups == g] == found.fold[g]).all()) for g in range(7))
    assert found.first(2).tolist() == alone.first(2).tolist()


def test_of_the_same_content_the_original_stays() -> None:
    support = clouds([3, 3])
    both = support.take(torch.tensor([0, 0, 1, 2, 3, 4, 5]))
    both = replace(both, ids=list("abcdefg"), augmented=torch.arange(7) == 0)
    found = Canonical.of(both, 0).support
    assert sorted(found.ids) == list("bcdefg")
    assert found.originals.ids == found.ids


def test_some_of_very_many_classes_are_the_first_of_them() -> None:
    support = Canonical.of(clouds([4] * 10), 0).support
    whole = Folds.of(support)
    rows, few = whole.some(6)
    assert few.classes == 3
    assert few.labels.bincount().tolist() == [2, 2, 2]
    assert torch.equal(few.labels, whole.labels[rows])
    assert float(few.balance.sum()) == 6
    every, same = whole.some(20)
    assert (same.classes, len(every)) == (10, 20)
    assert same.labels.bincount().tolist() == [2] * 10
