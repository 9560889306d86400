"""Texts for an encoder: tokens, windows, and batches of like length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from app.core.backbones import MOST_WINDOWS, BackboneSpec
from app.core.errors import HeadstartError
from app.core.texts import canonical
from worker.ml.backbones.text_files import (
    framed,
    lead,
    most_tokens,
    own_words,
    prompted,
    text_files,
    tokenized,
)
from worker.ml.engines.base import Vectors

Tokens = NDArray[np.int64]
Forward = Callable[[Tokens, Tokens], Vectors]
BATCH = 32
_UNKNOWN = ("[UNK]", "<unk>")
"""What tokenizers put in the place of what they do not know, if anything."""
APART = 256
"""Tokens that a pass more is counted as. It costs a few dozen; but the more passes, the more shapes
an engine meets for the first time.
"""
ROUND = 8
"""Lengths are padded up to a multiple of this, so that an engine meets few different shapes."""


class Encoder:
    """What an encoder's files say about its texts: tokens, their greatest number, pooling.

    A text of more than `most` tokens is read in windows of so many, and its embedding is their
    mean, each weighted by its tokens; one of at most `most` tokens is embedded as ever.
    """

    def __init__(self, spec: BackboneSpec, path: Path) -> None:
        files = text_files(path)
        self.pad, self.pooling = files.pad, spec.pooling or files.pooling
        self.most = most_tokens(spec, path)
        self._tokenizer = prompted(files.tokenizer(), spec.prompt)
        template = spec.template or files.template
        self._tokenizer = framed(self._tokenizer, template)
        self._lead = lead(template)
        self.most_windows = MOST_WINDOWS
        self.room = self.most - self._tokenizer.num_special_tokens_to_add(is_pair=False)
        if self.room < 1:
            told = f"{spec.name}: its template leaves no room for a text in {self.most} tokens"
            raise HeadstartError("weights_invalid", told)
        self._tokenizer.enable_truncation(self.most)
        known = (self._tokenizer.token_to_id(name) for name in _UNKNOWN)
        self._unknown = next((one for one in known if one is not None), None)

    def windows(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """Token ids of each window of each text's canonical form, special tokens included; no
        window of a text that the tokenizer fails on.
        """
        forms = [self._lead + canonical(text) for text in texts]
        return [[part.ids for part in _parts(whole)] for whole in tokenized(self._tokenizer, forms)]

    def own_words(self) -> list[str]:
        """Some texts that its vocabulary is sure to know."""
        return own_words(self._tokenizer)

    def counted(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """The windows that count of each text. One of which there is no token (an empty one for a
        decoder) is read as what fills up: one row has to stand for it.
        """
        return [self._windowed(some) for some in self.windows(texts)]

    def _windowed(self, windows: Sequence[list[int]]) -> list[list[int]]:
        return [window or [self.pad] for window in windows[: self.most_windows] or [[]]]

    def truncated(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text goes on behind its last window."""
        return [len(some) > self.most_windows for some in self.windows(texts)]

    def unread(self, texts: Sequence[str]) -> list[bool]:
        """Whether half of each text's tokens or more stand for what the tokenizer does not know."""
        if self._unknown is None:
            return [False] * len(texts)
        forms = [canonical(text) for text in texts]
        read = tokenized(self._tokenizer, forms, special=False)
        return [_mostly(self._unknown, [part.ids for part in _parts(one)]) for one in read]

    def counts(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text is, special ones left out."""
        forms = [canonical(text) for text in texts]
        return [
            sum(len(part.ids) for part in _parts(whole))
            for whole in tokenized(self._tokenizer, forms, special=False)
        ]

    def embed(self, texts: Sequence[str], *, width: int, forward: Forward) -> Vectors:
        """[n, width] in the order given; like lengths go through the network together. Of a text
        that the tokenizer fails on NaN.
        """
        read = self.windows(texts)
        vectors = self._embedded(list(map(self._windowed, read)), width, forward)
        vectors[[not some for some in read]] = np.nan
        return vectors

    def _embedded(
        self, per_text: Sequence[Sequence[list[int]]], width: int, forward: Forward
    ) -> Vectors:
        ids = [window for some in per_text for window in some]
        order = np.argsort([len(row) for row in ids], kind="stable")
        vectors = np.empty((len(ids), width), np.float32)
        for places in np.split(order, cuts([self._filled(len(ids[place])) for place in order])):
            vectors[places] = forward(*self.padded([ids[place] for place in places]))
        if len(ids) == len(per_text):
            return vectors
        return _pooled(vectors, [[len(window) for window in some] for some in per_text])

    def padded(self, rows: Sequence[Sequence[int]]) -> tuple[Tokens, Tokens]:
        """Ids and mask [n, t] of windows, as long as the longest."""
        length = self._filled(max(len(row) for row in rows))
        ids = np.full((len(rows), length), self.pad, np.int64)
        mask = np.zeros((len(rows), length), np.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        return ids, mask

    def _filled(self, length: int) -> int:
        """How long a window is in a pass of its own."""
        return min(self.most, -(-length // ROUND) * ROUND)


def cuts(lengths: Sequence[int]) -> list[int]:
    """Where rising lengths are parted into passes of at most `BATCH` rows, each of which is filled
    up to its longest, so that the least is computed: a pass of its own costs `APART` tokens.
    """
    if len(lengths) <= BATCH and len(lengths) * lengths[-1] - sum(lengths) <= APART:
        return []
    least = np.zeros(len(lengths) + 1)
    first = np.zeros(len(lengths) + 1, np.int64)
    for end in range(1, len(lengths) + 1):
        begin = max(0, end - BATCH)
        costs = least[begin:end] + np.arange(end - begin, 0, -1) * lengths[end - 1] + APART
        first[end] = begin + int(costs.argmin())
        least[end] = costs.min()
    found, at = [], int(first[-1])
    while at:
        found.append(at)
        at = int(first[at])
    return found[::-1]


def _parts(whole: Encoding | None) -> list[Encoding]:
    return [] if whole is None else [whole, *whole.overflowing]


def _pooled(vectors: Vectors, lengths: Sequence[Sequence[int]]) -> Vectors:
    """Of windows' unit rows, in order, one unit row a text: their mean by `lengths`."""
    rows: list[Vectors] = []
    start = 0
    for some in lengths:
        own = vectors[start : start + len(some)]
        start += len(some)
        mean = np.average(own, axis=0, weights=some).astype(np.float32)
        rows.append(own[0] if len(some) == 1 else mean / max(float(np.linalg.norm(mean)), 1e-12))
    return np.stack(rows)


def _mostly(token: int, windows: Sequence[Sequence[int]]) -> bool:
    """Whether half of the tokens or more are this one."""
    ids = [one for window in windows for one in window]
    return bool(ids) and 2 * ids.count(token) >= len(ids)
