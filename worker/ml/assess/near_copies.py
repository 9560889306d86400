"""Examples that show the same thing: copies of one picture, crops of it, frames of one scene.

Folds may tear them apart, and then the one answers for the other: figures out of fold are too
hopeful wherever new inputs show other things. Few are named; where there are many, those that are
linked are one group for judging.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from worker.ml.folds import fold_count

ALIKE = 0.95
"""Cosine from which two examples are called near copies: a photograph mostly has it with itself,
brighter, encoded anew or cropped by 3%; drawings and micrographs only where less changed.
"""

LINKED = 0.85
"""Cosine from which examples are linked where a set is known to hold copies. Chosen on one set of
garments, encoded anew, mirrored and turned; crops that are farther apart are not found by it.
"""

MOST = 2000
"""Examples that near copies are looked for among."""

MANY = 0.1
"""The share of examples with a near copy from which they are judged together: far more than sets of
different pictures were seen to have.
"""


def cosines(rows: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    """[m, m] of the first m ≤ MOST unit rows; -1 for pairs of other classes or of one group."""
    m = min(len(labels), MOST)
    labels, groups, rows = labels[:m], groups[:m], rows[:m]
    alike = (labels[:, None] == labels) & (groups[:, None] != groups)
    return (rows @ rows.T).where(alike, -1.0)


def known(copies: Tensor, labels: Tensor, groups: Tensor) -> Tensor | None:
    """Groups [n] in which examples that `copies` [n] calls equal are one, numbered by first row.

    None where none are, or that would leave too little to judge by. More than half of a class stay
    as they are: a class of one thing has nothing else to be judged by. Copies of another class are
    in the group, too: by a fit that has seen them an example is always judged wrong.
    """
    alike = torch.unique(torch.stack([copies, labels], 1), dim=0, return_inverse=True)[1]
    size = torch.bincount(alike)[alike]
    some = size * 2 <= torch.bincount(labels)[labels]
    first: dict[int, int] = {}
    links = [
        (row, first.setdefault(number, row))
        for row, (number, linked) in enumerate(zip(copies.tolist(), some.tolist(), strict=True))
        if linked
    ]
    together = _numbered(groups.tolist(), links)
    told = _numbered(groups.tolist(), [])
    return None if torch.equal(together, told) or not fold_count(labels, together) else together


def merged(copies: Tensor | None, groups: Tensor) -> Tensor:
    """Groups [n] in which examples that `copies` [n] calls equal are one, whatever that leaves: of
    what is judged and not trained on.
    """
    if copies is None:
        return groups
    first: dict[int, int] = {}
    links = [(row, first.setdefault(number, row)) for row, number in enumerate(copies.tolist())]
    return _numbered(groups.tolist(), links)


def contradicting(
    copies: Tensor | None, labels: Tensor, said: Tensor, judged: Tensor
) -> dict[str, Any] | None:
    """How many of the `judged` [n] that were not `said` to have their label have a near copy under
    another one: what is right of the one is wrong of the other. None where none have.
    """
    if copies is None:
        return None
    number = torch.unique(copies, return_inverse=True)[1]
    lowest = labels.new_zeros(len(labels)).scatter_reduce(
        0, number, labels, "amin", include_self=False
    )
    highest = labels.new_zeros(len(labels)).scatter_reduce(
        0, number, labels, "amax", include_self=False
    )
    wrong = judged & (said != labels)
    count, errors = int((wrong & (lowest < highest)[number]).sum()), int(wrong.sum())
    if not count:
        return None
    of = "is a near copy" if count == 1 else "are near copies"
    told = f"{count} of the {errors} counted as wrong {of} under another label"
    return {"count": count, "errors": errors, "message": told}


def joined(rows: Tensor, labels: Tensor, groups: Tensor) -> Tensor | None:
    """Groups [n] in which linked near copies are one, numbered by first row.

    None where they are few, or would leave too little to judge by: where half a class is linked,
    its examples are alike, which copies of some are not. For n ≤ MOST.
    """
    if len(labels) <= 2:
        return None
    alike = cosines(rows, labels, groups)
    if int((alike >= ALIKE).any(1).sum()) < MANY * len(labels):
        return None
    together = _numbered(groups.tolist(), (alike >= LINKED).triu(1).nonzero().tolist())
    size = torch.bincount(together)[together]
    whole = torch.bincount(labels)[labels]
    half = bool((size * 2 > whole).any())
    return None if half or not fold_count(labels, together) else together


def followed(groups: Tensor, together: Tensor, all_: Tensor) -> Tensor:
    """`together` [m] as groups of all [n], where those of `groups` [m] are among `all_` [n]: what
    is in one of these goes where it goes."""
    if len(groups) == len(all_):
        return together
    place = dict(zip(groups.tolist(), together.tolist(), strict=True))
    return torch.tensor([place[group] for group in all_.tolist()])


def _numbered(groups: Sequence[int], links: Sequence[Sequence[int]]) -> Tensor:
    parent = {group: group for group in groups}

    def root(group: int) -> int:
        while parent[group] != group:
            parent[group] = parent[parent[group]]
            group = parent[group]
        return group

    for one, other in links:
        parent[root(groups[other])] = root(groups[one])
    numbers: dict[int, int] = {}
    return torch.tensor([numbers.setdefault(root(group), len(numbers)) for group in groups])
