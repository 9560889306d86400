"""A text backbone's embeddings of label names, each name passed through it once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worker.ml.engines import Engine, TextEngine
from worker.ml.features.label_names import readable

MOST = 10_000
_Key = tuple[str, str, str]
"""Fingerprint and precision of the engine, and the name."""


class LabelEmbeddings:
    """Remembers the names used last, so that a refit of the same classes passes none again."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Key, NDArray[np.float32]] = OrderedDict()

    def of(self, engine: Engine, classes: Sequence[str]) -> Tensor | None:
        """[C, D] of the readable labels in their order; None for a backbone of images."""
        if not engine.spec.reads.read_by_heads:
            return None
        source = (engine.fingerprint, engine.precision)
        keys = [(*source, readable(label)) for label in classes]
        new = [key for key in dict.fromkeys(keys) if key not in self._known]
        if new:
            vectors = cast("TextEngine", engine).embed([name for *_, name in new])
            self._known.update(zip(new, vectors, strict=True))
        rows = np.stack([self._known[key] for key in keys])
        self._forget(keys)
        return torch.from_numpy(rows)

    def _forget(self, used: Sequence[_Key]) -> None:
        for key in used:
            self._known.move_to_end(key)
        while len(self._known) > MOST:
            self._known.popitem(last=False)
