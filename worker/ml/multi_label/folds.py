"""Folds of examples with several labels or none, each class shared out evenly among them.

Iterative stratification (Sechidis et al. 2011), by group: the class with least left is shared out
first. Whether a class can be judged in a fold is a question of each class.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worker.ml.folds import MOST_FOLDS, Folds
from worker.ml.lazily import lazily

Counts = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class MarkedFolds(Folds):
    """Folds of examples with `marks` [n, C] bool, in place of one class each.

    `labels` [n] are those of each example's rarest class, C where it has none: what landmarks are
    shared out by. All examples weigh the same.
    """

    marks: Tensor

    @classmethod
    def of_marks(
        cls, marks: Tensor, groups: Tensor, augmented: Tensor | None = None
    ) -> MarkedFolds:
        """Of a set in canonical order."""
        count = fold_count(marks, groups)
        fold = torch.zeros(len(marks), dtype=torch.long)
        if count:
            fold = stratified(marks, groups, count)
        return cls(
            labels=_rarest(marks),
            classes=marks.shape[1],
            fold=fold,
            count=count,
            balance=torch.ones(len(marks), dtype=torch.double),
            augmented=augmented,
            marks=marks,
        )

    @property
    def targets(self) -> Tensor:
        """Zero or one [n, C], float64."""
        return self.marks.double()

    def take(self, chosen: Tensor) -> MarkedFolds:
        """Of the examples `chosen`."""
        return replace(
            self,
            labels=self.labels[chosen],
            fold=self.fold[chosen],
            balance=self.balance[chosen],
            augmented=None if self.augmented is None else self.augmented[chosen],
            marks=self.marks[chosen],
        )

    @lazily
    def judged(self) -> Tensor:
        """[n, C] bool: by a fit that had seen examples with the class and without it."""
        if not self.count:
            return torch.zeros_like(self.marks)
        places = torch.arange(self.count)
        other = (self.fold[None] != places[:, None]).double()
        having, all_ = other @ self.marks.double(), other.sum(1, keepdim=True)
        return self.original(((having > 0) & (having < all_))[self.fold])

    @lazily
    def known(self) -> Tensor:
        """Which examples [n] are judged for a class at least."""
        return self.judged.any(1)

    @property
    def learnable(self) -> Tensor:
        """[C] bool: classes that some examples have and others have not."""
        having = self.marks.sum(0)
        return (having > 0) & (having < len(self.marks))

    @property
    def per_class(self) -> float:
        """Examples that have a class, on average."""
        return float(self.marks[self.originals].sum()) / max(1, self.classes)


def fold_count(marks: Tensor, groups: Tensor) -> int:
    """min(K, 5) for K groups that have the median class, or lack it, of those that several do.

    0 where no class can be judged.
    """
    members = _by_group(marks, groups)
    total = np.bincount(np.unique(groups.numpy(), return_inverse=True)[1])
    full = members == total[:, None]
    sides = np.minimum((members > 0).sum(0), (~full).sum(0))
    several = np.sort(sides[sides > 1])
    return int(min(several[len(several) // 2], MOST_FOLDS)) if len(several) else 0


def stratified(marks: Tensor, groups: Tensor, count: int) -> Tensor:
    """The fold [n] each example is judged in; a group is in one fold."""
    members = _by_group(marks, groups).astype(np.float64)
    names, place = np.unique(groups.numpy(), return_inverse=True)
    size = np.bincount(place).astype(np.float64)
    order = np.argsort(-size, kind="stable")
    fold = np.full(len(names), -1)
    wanted = np.tile(members.sum(0) / count, (count, 1))
    room = np.full(count, size.sum() / count)
    for label in _rarest_first(members):
        for unit in order[(fold[order] < 0) & (members[order, label] > 0)]:
            _put(unit, label, fold=fold, wanted=wanted, room=room, members=members, size=size)
    for unit in order[fold[order] < 0]:
        _put(unit, None, fold=fold, wanted=wanted, room=room, members=members, size=size)
    return torch.from_numpy(fold[place])


def _put(
    unit: int,
    label: int | None,
    *,
    fold: NDArray[np.int64],
    wanted: Counts,
    room: Counts,
    members: Counts,
    size: Counts,
) -> None:
    """Into the fold that lacks most of the label, and of those the one with most room."""
    lacks = room if label is None else wanted[:, label]
    best = max(range(len(room)), key=lambda at: (round(float(lacks[at]), 9), room[at], -at))
    fold[unit] = best
    wanted[best] -= members[unit]
    room[best] -= size[unit]


def _rarest_first(members: Counts) -> list[int]:
    """Classes by how many examples are left without a fold once rarer ones are shared out."""
    left = np.ones(len(members), bool)
    pending = [int(c) for c in np.flatnonzero(members.sum(0) > 0)]
    order = []
    while pending:
        counts = members[left][:, pending].sum(0)
        label = pending.pop(int(np.argmin(counts)))
        order.append(label)
        left &= members[:, label] == 0
    return order


def _by_group(marks: Tensor, groups: Tensor) -> NDArray[np.int64]:
    """Examples of each group that have each class [G, C]."""
    names, place = np.unique(groups.numpy(), return_inverse=True)
    found = np.zeros((len(names), marks.shape[1]), np.int64)
    np.add.at(found, place, marks.numpy().astype(np.int64))
    return found


def _rarest(marks: Tensor) -> Tensor:
    """Each example's rarest class [n]; C for one that has none."""
    counts = torch.where(marks, marks.sum(0), marks.new_full((), 1).long() * (len(marks) + 1))
    least = counts.min(1)
    return torch.where(marks.any(1), least.indices, marks.shape[1])
