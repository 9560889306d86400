"""Texts for an encoder: tokens, batches of like length, and the files of a Hugging Face folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from app.core.backbones import MOST_WINDOWS, BackboneSpec
from app.core.errors import HeadstartError
from app.core.texts import canonical
from app.infra import weights
from worker.ml.engines.base import Vectors

Tokens = NDArray[np.int64]
Forward = Callable[[Tokens, Tokens], Vectors]
BATCH = 32
ROUND = 8
"""Lengths are padded up to a multiple of this, so that an engine meets few different shapes."""


class Encoder:
    """What a Hugging Face folder says about its texts: tokens, their greatest number, pooling.

    A text of more than `most` tokens is read in windows of so many, and its embedding is their
    mean, each weighted by its tokens; one of at most `most` tokens is embedded as ever.
    """

    def __init__(self, spec: BackboneSpec, folder: Path) -> None:
        config = _read_json(folder / "config.json")
        self.folder = folder
        self.pad = int(config.get("pad_token_id") or 0)
        self.pooling = _pooling(folder)
        self.most = min(spec.input_size, weights.window(folder))
        self._tokenizer = _tokenizer(folder / "tokenizer.json", self.most)
        self.most_windows = MOST_WINDOWS
        self.room = self.most - self._tokenizer.num_special_tokens_to_add(is_pair=False)

    def windows(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """Token ids of each window of each text's canonical form, special tokens included."""
        forms = [canonical(text) for text in texts]
        return [
            [part.ids for part in (whole, *whole.overflowing)]
            for whole in self._tokenizer.encode_batch_fast(forms)
        ]

    def truncated(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text goes on behind its last window."""
        return [len(some) > self.most_windows for some in self.windows(texts)]

    def embed(self, texts: Sequence[str], *, width: int, forward: Forward) -> Vectors:
        """[n, width] in the order given; like lengths go through the network together."""
        found = [some[: self.most_windows] for some in self.windows(texts)]
        ids = [window for some in found for window in some]
        order = np.argsort([len(row) for row in ids], kind="stable")
        vectors = np.empty((len(ids), width), np.float32)
        for start in range(0, len(ids), BATCH):
            places = order[start : start + BATCH]
            vectors[places] = forward(*self._padded([ids[place] for place in places]))
        if len(ids) == len(texts):
            return vectors
        return _pooled(vectors, [[len(window) for window in some] for some in found])

    def _padded(self, rows: Sequence[Sequence[int]]) -> tuple[Tokens, Tokens]:
        longest = max(len(row) for row in rows)
        length = min(self.most, -(-longest // ROUND) * ROUND)
        ids = np.full((len(rows), length), self.pad, np.int64)
        mask = np.zeros((len(rows), length), np.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        return ids, mask


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


def fingerprint(folder: Path) -> str:
    """A SHA-256 over all that decides a text's embedding: tensors, tokens and configuration."""
    digest = hashlib.sha256(weights.sha256(folder).encode())
    for name in ("config.json", "tokenizer.json", "1_Pooling/config.json"):
        file = folder / name
        digest.update(file.read_bytes() if file.is_file() else b"\0")
    return digest.hexdigest()


def _tokenizer(path: Path, most: int) -> Tokenizer:
    if not path.is_file():
        raise HeadstartError(
            "backbone_unavailable", f"{path.parent.name} has no {path.name}: put it there."
        )
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no narrower one
        raise HeadstartError("weights_invalid", f"{path.name}: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(most)
    return tokenizer


def _pooling(folder: Path) -> str:
    stated = _read_json(folder / "1_Pooling" / "config.json")
    return "cls" if stated.get("pooling_mode_cls_token") else "mean"


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise HeadstartError("weights_invalid", f"{path.name}: {error}") from error
    return content if isinstance(content, dict) else {}
