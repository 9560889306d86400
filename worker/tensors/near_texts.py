"""What the tensor process answers to `near_texts`: texts that are the same but for little.

Pairs that may be share one of the least hashes of twelve characters in a row (a bottom-k sketch,
Broder 1997), be the one text within the other; in time that grows with the texts alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from worker.tensors import same_text
from worker.tensors.same_text import Hashes

WIDTH = 12
KEPT = 16
"""Hashes of a text: of one that is two fifths of another, some six are the other's, too."""
LEAD = 1000
"""Characters of a text that its sketch is made of; all of it decides."""
BEFORE = 3
"""Texts that each is compared with among those that share a hash, ordered by all of their own."""
MOST_READ = 50_000
"""Pairs that are read again, so that texts made to be nearly alike take no longer."""
Text = Callable[[int], str]
Places = NDArray[np.int64]


def near_texts(count: int, text: Text) -> list[tuple[int, int]]:
    """Pairs of places below `count`, the first below the second, that have almost one text.

    They link all texts of a group, and are not all of its pairs.
    """
    groups, left = _Groups(count), MOST_READ
    for pair in _candidates(*_sketches(_distinct(count, text, groups))):
        if groups.apart(*pair) and left:
            left -= 1
            one, other = (same_text.squeezed(same_text.plain(text(at))) for at in pair)
            if same_text.alike(one, other):
                groups.join(*pair)
    return groups.pairs


class _Groups:
    """Places that pairs link, directly or not."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))
        self.pairs: list[tuple[int, int]] = []

    def _root(self, at: int) -> int:
        parent = self._parent
        while parent[at] != at:
            parent[at] = at = parent[parent[at]]
        return at

    def apart(self, one: int, other: int) -> bool:
        return self._root(one) != self._root(other)

    def join(self, one: int, other: int) -> None:
        self._parent[self._root(other)] = self._root(one)
        self.pairs.append((min(one, other), max(one, other)))


def _distinct(count: int, text: Text, groups: _Groups) -> Iterator[tuple[int, str]]:
    """Each place with something to compare, and the beginning of its text; short texts that are
    equal but for what never counts are joined on the way, and come once."""
    seen: dict[bytes, int] = {}
    for at in range(count):
        whole = text(at)
        said = same_text.squeezed(same_text.plain(whole[: 2 * LEAD]))
        first = seen.setdefault(blake2b(said.encode(), digest_size=16).digest(), at)
        if said and first != at and len(whole) <= 2 * LEAD and len(text(first)) <= 2 * LEAD:
            groups.join(first, at)
        elif said:
            yield at, said[:LEAD]


def _sketches(told: Iterator[tuple[int, str]]) -> tuple[Places, Hashes]:
    """The places of the texts, and [n, 16] of their least hashes, shorter texts' last repeated."""
    places: list[int] = []
    rows: list[Hashes] = []
    for at, lead in told:
        least = np.unique(same_text.hashes(lead, WIDTH))[:KEPT]
        places.append(at)
        rows.append(np.pad(least, (0, KEPT - len(least)), mode="edge"))
    return np.array(places, np.int64), np.array(rows, np.uint64).reshape(-1, KEPT)


def _candidates(places: Places, sketches: Hashes) -> Iterator[tuple[int, int]]:
    """Pairs that share a hash, those that share most first."""
    row, value = _postings(sketches)
    found = [_neighbours(row, value, back) for back in range(1, BEFORE + 1)]
    codes, counts = np.unique(np.concatenate(found), return_counts=True)
    for code in codes[np.argsort(-counts, kind="stable")].tolist():
        one, other = divmod(code, max(1, len(sketches)))
        yield int(places[one]), int(places[other])


def _postings(sketches: Hashes) -> tuple[Places, Hashes]:
    """Each text's row and each of its hashes once, by hash; texts of almost one sketch come next
    to one another."""
    order = np.lexsort(sketches.T[3::-1])
    values = sketches[order]
    once = np.diff(values, axis=1, prepend=~values[:, :1]) != 0
    rows = np.repeat(order, once.sum(1))
    by_value = np.argsort(values[once], kind="stable")
    return rows[by_value].astype(np.int64), values[once][by_value]


def _neighbours(row: Places, value: Hashes, back: int) -> Places:
    """Of postings and those `back` before that share their hash, the lesser row times n and the
    greater."""
    same = value[back:] == value[:-back]
    one, other = row[:-back][same], row[back:][same]
    count = max(1, int(row.max(initial=0)) + 1)
    codes: Places = np.minimum(one, other) * count + np.maximum(one, other)
    return codes
