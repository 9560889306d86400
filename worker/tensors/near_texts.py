"""What the tensor process answers to `near_texts`: texts that are the same but for little.

Case, punctuation and blanks never count; of the rest, sets of five characters in a row are compared
by Jaccard's coefficient. Pairs that may be are found by MinHash signatures in bands (Broder 1997;
Leskovec et al., Mining of Massive Datasets, 3.4), in time that grows with the texts alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice

import numpy as np
from numpy.typing import NDArray

SAME = 0.9
"""Jaccard's coefficient from which two texts are one: a word changed among fifty, not among ten."""
WIDTH = 5
"""Characters in a row."""
LEAD = 1000
"""Characters of a text that its signature is made of; all of it decides."""
BANDS, ROWS = 8, 4
"""Of two texts at `SAME`, at least one band is alike with a probability of 0.9997."""
LIKELY = 24
"""Of the signature's 32 values, those that must agree before two texts are read again."""
MOST_READ = 50_000
"""Pairs that are read again, so that texts made to be nearly alike take no longer."""
_AT_ONCE = 256
_BETWEEN = re.compile(r"[\W_]+")
Hashes = NDArray[np.uint64]
Text = Callable[[int], str]


def near_texts(count: int, text: Text) -> list[tuple[int, int]]:
    """Pairs of places below `count`, the first below the second, that have almost one text.

    They link all texts of a group, and are not all of its pairs.
    """
    groups, left = _Groups(count), MOST_READ
    places, signatures = _signatures(_distinct(count, text, groups))
    for one, other in _candidates(signatures):
        pair = places[one], places[other]
        if groups.apart(*pair) and left:
            left -= 1
            if _alike(text(pair[0]), text(pair[1])):
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


def _plain(text: str) -> str:
    """Letters, the marks on them and digits alone, in small, with one blank between words."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _BETWEEN.sub(_marks, folded).strip()


def _marks(between: re.Match[str]) -> str:
    """What is left between letters: vowel signs and tones, which Python takes for no letters."""
    if between[0].isascii():
        return " "
    marks = [one for one in between[0] if unicodedata.category(one)[0] == "M"]
    return "".join(marks) + (" " if len(marks) < len(between[0]) else "")


def _alike(one: str, other: str) -> bool:
    first, second = _plain(one), _plain(other)
    if first == second:
        return True
    left, right = (np.unique(_hashes(text)) for text in (first, second))
    shared = len(np.intersect1d(left, right, assume_unique=True))
    return shared >= SAME * (len(left) + len(right) - shared)


def _hashes(plain: str) -> Hashes:
    """A number for every five characters in a row; for a shorter text, one."""
    codes = np.frombuffer(plain.ljust(WIDTH).encode("utf-32-le"), np.uint32).astype(np.uint64)
    mixed = np.zeros(len(codes) - WIDTH + 1, np.uint64)
    for at in range(WIDTH):
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + codes[at : at + len(mixed)]
    return _mixed(mixed)


def _mixed(values: Hashes) -> Hashes:
    """SplitMix64's finaliser: what differs a little differs in all bits (Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _distinct(count: int, text: Text, groups: _Groups) -> Iterator[tuple[int, str]]:
    """Each place with something to compare, and the beginning of its text; short texts that are
    equal but for what never counts are joined on the way, and come once."""
    seen: dict[bytes, int] = {}
    for at in range(count):
        whole = text(at)
        plain = _plain(whole[: 2 * LEAD])
        first = seen.setdefault(blake2b(plain.encode(), digest_size=16).digest(), at)
        if plain and first != at and len(whole) <= 2 * LEAD and len(text(first)) <= 2 * LEAD:
            groups.join(first, at)
        elif plain:
            yield at, plain[:LEAD]


def _signatures(told: Iterator[tuple[int, str]]) -> tuple[Sequence[int], Hashes]:
    """The places of the texts, and [n, 32] of their least hashes."""
    salts = _mixed(np.arange(1, BANDS * ROWS + 1, dtype=np.uint64)) | np.uint64(1)
    places: list[int] = []
    blocks: list[Hashes] = []
    while block := list(islice(told, _AT_ONCE)):
        places += [at for at, _ in block]
        blocks.append(_least([_hashes(lead) for _, lead in block], salts))
    empty = np.zeros((0, BANDS * ROWS), np.uint64)
    return places, np.concatenate([empty, *blocks])


def _least(texts: Sequence[Hashes], salts: Hashes) -> Hashes:
    """[n, 32]: the least of each text's hashes under 32 multiplications."""
    together = np.concatenate(texts)
    starts = np.cumsum([0, *(len(one) for one in texts[:-1])])
    return np.stack(
        [np.minimum.reduceat((together * salt) >> np.uint64(16), starts) for salt in salts], axis=1
    )


def _candidates(signatures: Hashes) -> Iterator[tuple[int, int]]:
    """Pairs of rows that share a band and agree in most values: each with the first of those it
    shares the band with, and with the one before it."""
    for band in range(BANDS):
        part = np.ascontiguousarray(signatures[:, band * ROWS : (band + 1) * ROWS])
        key = _mixed(part @ _mixed(np.arange(1, ROWS + 1, dtype=np.uint64)))
        order = np.argsort(key, kind="stable")
        starts = np.flatnonzero(np.diff(key[order], prepend=~key[order[:1]]))
        first = order[np.repeat(starts, np.diff(starts, append=len(order)))]
        before = np.concatenate([order[:1], order[:-1]])
        fresh = np.isin(np.arange(len(order)), starts)
        for other in (first, np.where(fresh, order, before)):
            yield from _likely(signatures, other, order)


def _likely(
    signatures: Hashes, one: NDArray[np.intp], other: NDArray[np.intp]
) -> Iterator[tuple[int, int]]:
    """Those of the pairs that agree in enough values, none with itself."""
    for start in range(0, len(one), 4096):
        left, right = one[start : start + 4096], other[start : start + 4096]
        agree = (signatures[left] == signatures[right]).sum(1) >= LIKELY
        chosen = np.flatnonzero(agree & (left != right))
        yield from zip(left[chosen].tolist(), right[chosen].tolist(), strict=True)
