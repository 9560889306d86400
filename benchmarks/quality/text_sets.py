"""The real text sets with cached embeddings of texts and label names, and few-shot draws."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from app.core import backbones
from benchmarks.record import shared_data
from worker.ml.engines import TextEngine, load_engine
from worker.ml.features.label_names import readable
from worker.ml.tasks import Support

CACHE = Path(__file__).resolve().parents[2] / "data" / "benchmarks"
BACKBONE = backbones.MINILM.name
LAYOUT = backbones.MINILM.layout
SETS = ("banking77", "naijasenti_hau")


@dataclass(frozen=True)
class TextPart:
    """One split: `rows` [n, D] embeddings as stored (fp16), their texts, labels [n]."""

    rows: Tensor
    texts: tuple[str, ...]
    labels: Tensor
    classes: tuple[str, ...]

    def support(self, chosen: Tensor) -> Support:
        """Chosen rows as a support set."""
        return Support(
            features={"text": self.rows[chosen]},
            labels=self.labels[chosen],
            groups=torch.arange(len(chosen)),
            ids=[f"ex_{place}" for place in range(len(chosen))],
            classes=self.classes,
            texts=[self.texts[row] for row in chosen.tolist()],
        )


@dataclass(frozen=True)
class TextSet:
    """A set, its two splits, and the embeddings [C, D] of its readable label names."""

    name: str
    train: TextPart
    test: TextPart
    names: Tensor


def load(name: str, backbone: str = BACKBONE) -> TextSet:
    """Embed what is not cached yet."""
    classes = tuple(sorted({label for _, label in lines_of(name, "train")}))
    names = _embedded(backbone, f"{name}.names", [readable(label) for label in classes])
    train, test = (_part(backbone, name, split, classes) for split in ("train", "test"))
    return TextSet(name, train, test, names)


@cache
def engine(backbone: str = BACKBONE) -> TextEngine:
    """The engine that every set is embedded with, in f32 whatever this machine has units for."""
    return cast("TextEngine", load_engine(backbone, None, precision="f32"))


def _part(backbone: str, name: str, split: str, classes: tuple[str, ...]) -> TextPart:
    lines = lines_of(name, split)
    return TextPart(
        rows=_embedded(backbone, f"{name}.{split}", [text for text, _ in lines]),
        texts=tuple(text for text, _ in lines),
        labels=torch.tensor([classes.index(label) for _, label in lines]),
        classes=classes,
    )


def lines_of(name: str, split: str) -> list[tuple[str, str]]:
    """(text, label) of each line of a split."""
    lines = (shared_data() / name / f"{split}.jsonl").read_text().splitlines()
    return [(line["text"], line["label"]) for line in map(json.loads, lines)]


def _embedded(backbone: str, part: str, texts: Sequence[str]) -> Tensor:
    path = CACHE / f"{backbone}.{part}.npy"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        parts = [engine(backbone).embed(texts[i : i + 64]) for i in range(0, len(texts), 64)]
        np.save(path, np.concatenate(parts).astype(np.float16))
    return torch.from_numpy(np.load(path))
