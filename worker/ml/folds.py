"""Which examples are judged together: canonical order, duplicates, stratified folds by group."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from worker.ml.lazily import lazily
from worker.ml.tasks import Support

MOST_FOLDS = 5

MOST_DUAL = 2000
"""Up to so many examples their rows span the fits; beyond, so many of them do (Nyström 1930)."""


@dataclass(frozen=True, kw_only=True)
class Folds:
    """Who judges whom: `fold` [n] of `count` folds, none where count is 0; class weights [n]."""

    labels: Tensor
    classes: int
    fold: Tensor
    count: int
    balance: Tensor

    @property
    def targets(self) -> Tensor:
        """One-hot labels [n, k], float64."""
        return torch.nn.functional.one_hot(self.labels, self.classes).double()

    def take(self, chosen: Tensor) -> Folds:
        """Of the examples `chosen`."""
        return replace(
            self,
            labels=self.labels[chosen],
            fold=self.fold[chosen],
            balance=balanced(self.labels[chosen], self.classes),
        )

    @lazily
    def known(self) -> Tensor:
        """Which examples [n] are judged by a fit that has seen their class."""
        return known(self.labels, self.fold, self.count)

    @property
    def per_class(self) -> float:
        """Examples a class has, on average."""
        return len(self.labels) / self.classes


def canonical(support: Support, seed: int) -> Support:
    """The same set without exact duplicates, in an order that only content and seed decide.

    A duplicate has the same content and the same label: it says nothing new. Rows are ordered by
    a keyed hash of their content, classes by their first row, so that neither the order of upload
    nor the names of the labels can change a fit.
    """
    keys = _content_keys(support, seed)
    order = sorted(range(len(support)), key=lambda row: (keys[row], support.ids[row]))
    seen: set[tuple[bytes, int]] = set()
    kept = []
    for row, label in zip(order, support.labels[order].tolist(), strict=True):
        if (keys[row], label) not in seen:
            seen.add((keys[row], label))
            kept.append(row)
    rows = support.take(torch.tensor(kept))
    return _classes_by_first_row(rows, _joined_groups(rows.groups, [keys[row] for row in kept]))


def _content_keys(support: Support, seed: int) -> list[bytes]:
    """One keyed hash a row, of its text or of its features in the primary view."""
    key = seed.to_bytes(16, "little", signed=True)
    if support.texts is not None:
        contents = [text.encode() for text in support.texts]
    else:
        rows = support.features["squish"].to(torch.float16).contiguous().view(torch.uint8).numpy()
        contents = [row.tobytes() for row in rows]
    return [hashlib.blake2b(content, digest_size=16, key=key).digest() for content in contents]


def _joined_groups(groups: Tensor, keys: list[bytes]) -> Tensor:
    """Groups [n] numbered by first row, those that share the same content made one."""
    parent: dict[object, object] = {}

    def root(item: object) -> object:
        while parent.setdefault(item, item) != item:
            item = parent[item]
        return item

    for group, key in zip(groups.tolist(), keys, strict=True):
        parent[root(key)] = root(group)
    numbers: dict[object, int] = {}
    roots = [root(group) for group in groups.tolist()]
    return torch.tensor([numbers.setdefault(item, len(numbers)) for item in roots])


def _classes_by_first_row(support: Support, groups: Tensor) -> Support:
    """Classes renumbered by first appearance; those without a row come last."""
    seen = dict.fromkeys(support.labels.tolist())
    absent = [c for c in range(len(support.classes)) if c not in seen]
    order = [*seen, *absent]
    number = torch.empty(len(order), dtype=torch.long)
    number[order] = torch.arange(len(order))
    return Support(
        features=support.features,
        labels=number[support.labels],
        groups=groups,
        ids=support.ids,
        classes=[support.classes[c] for c in order],
        texts=support.texts,
    )


def fold_count(labels: Tensor, groups: Tensor) -> int:
    """min(K, 5) for K groups in the median class; 0 where most classes have but one."""
    pairs = set(zip(labels.tolist(), groups.tolist(), strict=True))
    per_class = sorted(Counter(label for label, _ in pairs).values())
    middle = per_class[len(per_class) // 2]
    return min(middle, MOST_FOLDS) if middle > 1 else 0


def folds(labels: Tensor, groups: Tensor, count: int) -> Tensor:
    """The fold [n] each row is judged in; a group is in one fold, a class in all alike.

    Each group goes to the fold that has least of the group's first class, then least of all.
    """
    number = labels.tolist()
    fold = [0] * len(number)
    of_class = [[0] * count for _ in range(max(number) + 1)]
    total = [0] * count
    for members in _members(groups.tolist()):
        own = of_class[number[members[0]]]
        best = min(range(count), key=lambda f: (own[f], total[f], f))
        total[best] += len(members)
        for row in members:
            fold[row] = best
            of_class[number[row]][best] += 1
    return torch.tensor(fold)


def known(labels: Tensor, fold: Tensor, count: int) -> Tensor:
    """Which rows [n] are judged by a fit that has seen their class.

    Without folds none is; nor is a class that lies in one fold, as one example or one group does.
    """
    if not count:
        return torch.zeros(len(labels), dtype=torch.bool)
    table = torch.zeros(int(labels.max()) + 1, count, dtype=torch.long)
    table.index_put_((labels, fold), torch.ones_like(labels), accumulate=True)
    return table.sum(1)[labels] > table[labels, fold]


def _members(groups: list[int]) -> list[list[int]]:
    """The rows of each group, largest group first: a large one fits best while folds are empty."""
    found: dict[int, list[int]] = {}
    for row, group in enumerate(groups):
        found.setdefault(group, []).append(row)
    return sorted((found[group] for group in sorted(found)), key=lambda rows: -len(rows))


def training_weights(fold: Tensor, count: int) -> Tensor:
    """[count, n]: one where a row is trained on, zero in the fold that it is judged in."""
    return (fold[None] != torch.arange(count)[:, None]).double()


def balanced(labels: Tensor, classes: int) -> Tensor:
    """Weights [n] that give every class the same say and sum to n."""
    counts = torch.bincount(labels, minlength=classes).clamp(min=1)
    present = int((torch.bincount(labels, minlength=classes) > 0).sum())
    return len(labels) / (present * counts[labels]).double()


def judge(support: Support) -> Folds:
    """Stratified, group-aware folds and balanced weights of a set in canonical order."""
    labels, classes = support.labels, len(support.classes)
    count = fold_count(labels, support.groups)
    fold = folds(labels, support.groups, count) if count else torch.zeros_like(labels)
    balance = balanced(labels, classes)
    return Folds(labels=labels, classes=classes, fold=fold, count=count, balance=balance)


def first_of_each(labels: Tensor, most: int) -> Tensor:
    """Rows [m] that keep the first `most` of every class."""
    order = torch.argsort(labels, stable=True)
    ordered = labels[order]
    first = torch.searchsorted(ordered, ordered)
    place = torch.arange(len(labels)) - first
    return order[place < most].sort().values


def landmarks(judge: Folds) -> Tensor:
    """The examples whose rows span the fits [m]: all, or of many the first of each class."""
    if len(judge.labels) <= MOST_DUAL:
        return torch.arange(len(judge.labels))
    return first_of_each(judge.labels, max(1, MOST_DUAL // judge.classes))
