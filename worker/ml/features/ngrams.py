"""Hashed character n-grams: the view of a text that needs to know no language.

Two families, named as in scikit-learn: `char_wb` takes n-grams of 2 to 5 characters inside words
(a word has a blank on each side), `char` those of 1 to 4 anywhere in the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.texts import composed

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]
Hashes = NDArray[np.uint64]

BITS = 18
BUCKETS = 2**BITS
"""Buckets of one family; those of `char` come after those of `char_wb`."""

MOST_CHARACTERS = 16_000
"""Longer texts are read up to here: about as far as all windows of an encoder go."""

_BLANK = np.uint64(32)
_END = np.uint64(0)
_MULTIPLY = np.uint64(0x9E3779B97F4A7C15)
_FINISH = np.uint64(0xFF51AFD7ED558CCD)


@dataclass(frozen=True, kw_only=True)
class SparseRows:
    """Sparse rows of unit length: row i has the entries `starts[i]` to `starts[i + 1]`.

    `buckets` [entries] rise within a row; `weights` [entries] are positive.
    """

    buckets: Integers
    weights: Floats
    starts: Integers

    def __len__(self) -> int:
        return len(self.starts) - 1

    def owners(self) -> Integers:
        """The row of each entry."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))


def rows(texts: Sequence[str]) -> SparseRows:
    """One row a text; weights are square roots of counts, each family with length 1/√2.

    A text without a character has an empty row.
    """
    codes, owner = _characters(texts)
    keys = [_keys(grams, owner) for grams in (_inside_words(codes), _anywhere(codes))]
    weighted = [_weighted(key, len(texts)) for key in keys]
    row = np.concatenate([weighted[0][0], weighted[1][0]])
    bucket = np.concatenate([weighted[0][1], weighted[1][1] + BUCKETS])
    weight = np.concatenate([weighted[0][2], weighted[1][2]])
    order = np.argsort(row, kind="stable")
    starts = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(np.bincount(row, minlength=len(texts)), out=starts[1:])
    return SparseRows(buckets=bucket[order], weights=weight[order], starts=starts)


def normalise(text: str) -> str:
    """Composed, in lower case, with single blanks, one at each end; nothing stays nothing."""
    words = composed(text)[:MOST_CHARACTERS].lower().replace("\0", " ").split()
    return f" {' '.join(words)} " if words else ""


def _characters(texts: Sequence[str]) -> tuple[Hashes, Integers]:
    """Code points of all texts, each text closed by a zero, and the text of each code point."""
    clean = [normalise(text) + "\0" for text in texts]
    data = "".join(clean).encode("utf-32-le", "surrogatepass")
    owner = np.repeat(np.arange(len(clean)), [len(text) for text in clean])
    return np.frombuffer(data, np.uint32).astype(np.uint64), owner


Grams = Iterator[tuple[NDArray[np.bool_], Hashes]]


def _grams(codes: Hashes, longest: int) -> Grams:
    """For n = 1 … `longest`: which starts [m] have n characters in one text, and their hashes."""
    hashes = np.zeros(len(codes), np.uint64)
    whole = np.ones(len(codes), bool)
    for n in range(1, longest + 1):
        count = max(0, len(codes) - n + 1)
        ending = codes[n - 1 :]
        hashes = (hashes[:count] ^ ending) * _MULTIPLY
        hashes ^= hashes >> np.uint64(31)
        whole = whole[:count] & (ending != _END)
        yield whole, hashes


def _anywhere(codes: Hashes) -> Grams:
    """The family `char`: n-grams of 1 to 4 characters."""
    yield from _grams(codes, 4)


def _inside_words(codes: Hashes) -> Grams:
    """The family `char_wb`: n-grams of 2 to 5 characters, blanks only at their ends."""
    inner = np.zeros(len(codes), bool)
    for n, (whole, hashes) in enumerate(_grams(codes, 5), start=1):
        inner = inner[: len(whole)]
        if n > 2:
            inner = inner | (codes[n - 2 :][: len(whole)] == _BLANK)
        if n > 1:
            yield whole & ~inner, hashes


def _keys(grams: Grams, owner: Integers) -> Integers:
    """row·BUCKETS + bucket of every n-gram."""
    pieces = []
    for kept, hashes in grams:
        mixed = hashes[kept] * _FINISH
        bucket = (mixed >> np.uint64(64 - BITS)).astype(np.int64)
        pieces.append((owner[: len(kept)][kept] << BITS) | bucket)
    return np.concatenate(pieces)


def _weighted(keys: Integers, count: int) -> tuple[Integers, Integers, Floats]:
    """(row, bucket, weight) of each distinct key, rows of length 1/√2."""
    distinct, counts = np.unique(keys, return_counts=True)
    row = distinct >> BITS
    length = np.bincount(row, weights=counts, minlength=count)
    weight = np.sqrt(counts / (2 * length[row])).astype(np.float32)
    return row, distinct & (BUCKETS - 1), weight


def seen(table: SparseRows) -> Integers:
    """The buckets that occur, ascending [m]."""
    return np.unique(table.buckets)


def within(table: SparseRows, known: Integers) -> SparseRows:
    """The entries whose bucket is `known` (ascending), buckets replaced by their place there."""
    place = np.searchsorted(known, table.buckets)
    kept = known[np.minimum(place, len(known) - 1)] == table.buckets if len(known) else place < 0
    starts = np.concatenate([[0], np.cumsum(kept)])[table.starts]
    return SparseRows(buckets=place[kept], weights=table.weights[kept], starts=starts)


def take(table: SparseRows, chosen: Integers) -> SparseRows:
    """The rows `chosen`, in that order."""
    sizes = np.diff(table.starts)[chosen]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    entries = np.repeat(table.starts[chosen] - starts[:-1], sizes) + np.arange(starts[-1])
    return SparseRows(buckets=table.buckets[entries], weights=table.weights[entries], starts=starts)


def fold(table: SparseRows, width: int) -> SparseRows:
    """All buckets dealt to `width` ones with random signs, which keeps inner products on average.

    (Weinberger et al. 2009.) Entries that meet in a bucket stay apart; `width` is a power of two.
    """
    mixed = (table.buckets.astype(np.uint64) + np.uint64(1)) * _MULTIPLY
    mixed = (mixed ^ (mixed >> np.uint64(31))) * _FINISH
    sign = np.where(mixed >> np.uint64(63), np.float32(1), np.float32(-1))
    place = ((mixed >> np.uint64(20)) & np.uint64(width - 1)).astype(np.int64)
    return SparseRows(buckets=place, weights=table.weights * sign, starts=table.starts)


def dense(table: SparseRows, width: int) -> Floats:
    """[n, width] of rows whose buckets are below `width`."""
    cells = table.owners() * width + table.buckets
    flat = np.bincount(cells, weights=table.weights, minlength=len(table) * width)
    return flat.astype(np.float32).reshape(len(table), width)


def gram(table: SparseRows, *, rare: int = 16) -> Floats:
    """Inner products [n, n]: buckets of at most `rare` rows pair by pair, the others densely."""
    n = len(table)
    _, place, spread = np.unique(table.buckets, return_inverse=True, return_counts=True)
    common = spread[place] > rare
    number = np.cumsum(spread > rare) - 1
    dense = np.zeros((n, int((spread > rare).sum())), np.float32)
    owner = table.owners()
    dense[owner[common], number[place[common]]] = table.weights[common]
    product: Floats = dense @ dense.T
    flat = _pairs(place[~common], owner[~common], table.weights[~common], n)
    return product + flat.reshape(n, n)


def _pairs(bucket: Integers, owner: Integers, weight: Floats, n: int) -> Floats:
    """Σ over buckets of the outer product of its few entries, as [n·n]."""
    order = np.argsort(bucket, kind="stable")
    bucket, owner, weight = bucket[order], owner[order], weight[order]
    total = np.bincount(owner * (n + 1), weights=weight * weight, minlength=n * n)
    for step in range(1, len(bucket)):
        same = bucket[step:] == bucket[:-step]
        if not same.any():
            break
        left, right = owner[:-step][same], owner[step:][same]
        value = (weight[:-step] * weight[step:])[same]
        total += np.bincount(left * n + right, weights=value, minlength=n * n)
        total += np.bincount(right * n + left, weights=value, minlength=n * n)
    return total.astype(np.float32)
