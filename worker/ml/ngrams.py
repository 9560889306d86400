"""Hashed character n-grams: the view of a text that needs to know no language.

Two families, as Recipe and scikit-learn call them: `char_wb` takes n-grams of 2 to 5 characters
inside words (a word is padded with a blank on each side), `char` those of 1 to 4 across the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BUCKETS = 2**18
WORD_SIZES = range(2, 6)
TEXT_SIZES = range(1, 5)
MAX_CHARACTERS = 4_000
"""Longer texts are read up to here: beyond it their n-grams hardly change."""

_BLANK = 32
_END = 0
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xFF51AFD7ED558CCD)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Sparse rows: row i has `buckets[starts[i]:starts[i+1]]` (sorted) with unit-length `weights`."""

    buckets: NDArray[np.int64]
    weights: NDArray[np.float32]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def row_numbers(self) -> NDArray[np.int64]:
        """The row of each entry [nnz]."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))


def rows(texts: Sequence[str]) -> Rows:
    """[n] texts as sparse rows over 2·BUCKETS buckets, one half for each family.

    Weights are square roots of counts; each family has length 1/√2, so a row has length 1.
    """
    codes, owner = _characters(texts)
    halves = [_family(codes, owner, WORD_SIZES, inside_words=True, offset=0)]
    halves += [_family(codes, owner, TEXT_SIZES, inside_words=False, offset=BUCKETS)]
    return _merge(halves, len(texts))


def normalise(text: str) -> str:
    """Lower case, single blanks, one blank on each side."""
    return f" {' '.join(text[:MAX_CHARACTERS].lower().split())} "
