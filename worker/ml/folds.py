"""Which examples are judged together: canonical order, duplicates, stratified folds by group."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from worker.ml.features import spaces
from worker.ml.lazily import lazily
from worker.ml.tasks import Support

MOST_FOLDS = 5

MOST_DUAL = 2000
"""Up to so many examples their rows span the fits; beyond, so many of them do (Nyström 1930)."""


@dataclass(frozen=True, kw_only=True)
class Folds:
    """`fold` [n] of `count` that each example is judged in, none where count is 0; weights [n].

    Those that are `augmented` [n], if any are, train in the folds of what they are copies of.
    """

    labels: Tensor
    classes: int
    fold: Tensor
    count: int
    balance: Tensor
    augmented: Tensor | None = None

    @classmethod
    def of(cls, support: Support) -> Folds:
        """Stratified, group-aware folds and balanced weights of a set in canonical order."""
        labels, classes = support.labels, len(support.classes)
        count = fold_count(labels, support.groups)
        fold = assigned(labels, support.groups, count) if count else torch.zeros_like(labels)
        balance = balanced(labels, classes)
        return cls(
            labels=labels,
            classes=classes,
            fold=fold,
            count=count,
            balance=balance,
            augmented=support.augmented,
        )

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
            augmented=None if self.augmented is None else self.augmented[chosen],
        )

    @lazily
    def known(self) -> Tensor:
        """Which examples [n] are judged by a fit that has seen their class."""
        return self.original(estimable(self.labels, self.fold, self.count))

    def original(self, rows: Tensor) -> Tensor:
        """Those of `rows` [n, …] bool that are no augmented copies."""
        if self.augmented is None:
            return rows
        return rows & ~self.augmented.reshape(-1, *[1] * (rows.dim() - 1))

    @lazily
    def originals(self) -> Tensor:
        """The rows [m] that are no augmented copies."""
        everything = torch.ones(len(self.labels), dtype=torch.bool)
        return torch.nonzero(self.original(everything))[:, 0]

    @property
    def examples(self) -> int:
        """How many there are, without augmented copies."""
        return len(self.originals)

    def first(self, most: int) -> Tensor:
        """Rows [m]: the first `most` of every class, augmented copies behind all others."""
        return first_of_each(self.labels, most, self.augmented)

    def some(self, most: int) -> tuple[Tensor, Folds]:
        """About `most` rows, as many of every class and at least two, and their folds; of more
        classes than that leaves room for, those of the first.
        """
        classes = min(self.classes, most // 2)
        rows = self.first(max(2, most // self.classes))
        rows = rows[self.labels[rows] < classes]
        return rows, replace(self.take(rows), classes=classes)

    @property
    def trained(self) -> float:
        """The share of the examples that a fold's fit has; 1 without folds."""
        return 1 - 1 / self.count if self.count else 1.0

    @property
    def many(self) -> bool:
        """Whether only landmarks' rows span the fits."""
        return len(self.labels) > MOST_DUAL

    @property
    def per_class(self) -> float:
        """Examples a class has, on average."""
        return self.examples / self.classes


@dataclass(frozen=True, kw_only=True)
class Canonical:
    """A set in canonical order, and the one way back to its caller's order of classes.

    `support` has no exact duplicates (the same content with the same label says nothing new), and
    an order that only content and seed decide: rows by a keyed hash of their content, classes by
    their first row. So neither the order of upload nor the labels' names can change a fit.
    `caller` [C] is the caller's number of each class.
    """

    support: Support
    classes: tuple[str, ...]
    caller: Tensor

    @classmethod
    def of(cls, given: Support, seed: int) -> Canonical:
        """Of a set in its caller's order."""
        keys = _content_keys(given, seed)
        kept = _first_of_each_content(given, keys)
        rows = given.take(torch.tensor(kept))
        groups = _joined_groups(rows.groups, [keys[row] for row in kept])
        caller = _by_first_row(rows)
        support = replace(
            rows,
            groups=groups,
            labels=torch.argsort(caller)[rows.labels],
            classes=[given.classes[c] for c in caller.tolist()],
        )
        return cls(support=support, classes=tuple(given.classes), caller=caller)

    def numbers(self, classes: Tensor) -> Tensor:
        """The caller's numbers of canonical ones."""
        return self.caller[classes.long()]

    def columns(self, by_class: Tensor) -> Tensor:
        """What has classes along its last dimension, in the caller's order."""
        return by_class[..., torch.argsort(self.caller)].contiguous()

    def rows(self, by_class: Tensor) -> Tensor:
        """What the caller gave of each class [C, …], in canonical order."""
        return by_class[self.caller]

    def renamed(self) -> Support:
        """The canonical rows with the caller's numbers of classes."""
        labels = self.numbers(self.support.labels)
        return replace(self.support, labels=labels, classes=self.classes)


def _first_of_each_content(given: Support, keys: Sequence[bytes]) -> list[int]:
    """Rows by key, of those with one content and one label the first, which is no augmented copy
    if another is none."""
    copied = [False] * len(given) if given.augmented is None else given.augmented.tolist()
    order = sorted(range(len(given)), key=lambda row: (keys[row], copied[row], given.ids[row]))
    labels = given.labels.tolist()
    first: dict[tuple[bytes, int], int] = {}
    for row in order:
        first.setdefault((keys[row], labels[row]), row)
    return list(first.values())


def _content_keys(support: Support, seed: int) -> list[bytes]:
    """One keyed hash a row, of its text or of its features in the primary view."""
    key = seed.to_bytes(16, "little", signed=True)
    if support.texts is not None:
        contents = [text.encode() for text in support.texts]
    else:
        rows = support.features[spaces.primary(support.features)].to(torch.float16).contiguous()
        contents = [row.tobytes() for row in rows.view(torch.uint8).numpy()]
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


def _by_first_row(support: Support) -> Tensor:
    """Classes [C] by first appearance; those without a row come last."""
    order = dict.fromkeys([*support.labels.tolist(), *range(len(support.classes))])
    return torch.tensor(list(order))


def fold_count(labels: Tensor, groups: Tensor) -> int:
    """min(K, 5) for K groups in the median class; 0 where most classes have but one."""
    pairs = set(zip(labels.tolist(), groups.tolist(), strict=True))
    per_class = sorted(Counter(label for label, _ in pairs).values())
    middle = per_class[len(per_class) // 2]
    return min(middle, MOST_FOLDS) if middle > 1 else 0


def assigned(labels: Tensor, groups: Tensor, count: int) -> Tensor:
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


def estimable(labels: Tensor, fold: Tensor, count: int) -> Tensor:
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
    members: dict[int, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    return sorted((members[group] for group in sorted(members)), key=lambda rows: -len(rows))


def training_weights(fold: Tensor, count: int) -> Tensor:
    """[count, n]: one where a row is trained on, zero in the fold that it is judged in."""
    return (fold[None] != torch.arange(count)[:, None]).double()


def balanced(labels: Tensor, classes: int) -> Tensor:
    """Weights [n] that give every class the same say and sum to n."""
    counts = torch.bincount(labels, minlength=classes).clamp(min=1)
    present = int((torch.bincount(labels, minlength=classes) > 0).sum())
    return len(labels) / (present * counts[labels]).double()


def first_of_each(labels: Tensor, most: int, last: Tensor | None = None) -> Tensor:
    """Rows [m] that keep the first `most` of every class, before those that are `last` [n]."""
    order = torch.argsort(labels if last is None else 2 * labels + last, stable=True)
    ordered = labels[order]
    first = torch.searchsorted(ordered, ordered)
    place = torch.arange(len(labels)) - first
    return order[place < most].sort().values


def landmarks(folds: Folds) -> Tensor:
    """The examples whose rows span the fits [m]: all, or of many the first of each class."""
    if not folds.many:
        return torch.arange(len(folds.labels))
    return folds.first(max(1, MOST_DUAL // folds.classes))
