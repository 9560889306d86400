"""Answers by content: the same bytes and the same model version need no forward pass."""

from __future__ import annotations

import hashlib
import time
from array import array
from collections import OrderedDict
from threading import Lock
from typing import TypeAlias

from app.core.messages import Input, Target
from worker.answers.rendering import Labels, Scores

_OVERHEAD = 500
"""Bytes an entry costs beside its numbers (measured with tracemalloc, rounded up)."""


_Entry: TypeAlias = "tuple[array[float], bool, float | None, float]"
"""Probabilities, unknown, familiarity, and when it was used last."""


class PredictionCache:
    """Least recently used first to go, within `budget` bytes; threads may share it."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        # numbers only: labels belong to a head, which they would outlive here
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._lock = Lock()
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes, labels: Labels) -> Scores | None:
        """The scores under `key`, which become the most recently used; `labels` are the head's."""
        with self._lock:
            entry = self._entries.pop(key, None)
            if entry is None:
                return None
            self._entries[key] = (*entry[:3], time.monotonic())
        return Scores(labels, *entry[:3])

    def put(self, key: bytes, scores: Scores) -> None:
        """Remember `scores`, and forget the oldest beyond the budget."""
        with self._lock:
            if key in self._entries:
                return
            told = scores.probabilities, scores.unknown, scores.familiarity
            self._entries[key] = (*told, time.monotonic())
            self.nbytes += _OVERHEAD + _nbytes(scores.probabilities)
            while self.nbytes > self._budget:
                self._drop_oldest()

    def forget_idle(self, seconds: float) -> None:
        """Forget what nobody has asked for so long, such as answers of deleted models."""
        with self._lock:
            until = time.monotonic() - seconds
            while self._entries and next(iter(self._entries.values()))[3] < until:
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, (oldest, *_) = self._entries.popitem(last=False)
        self.nbytes -= _OVERHEAD + _nbytes(oldest)


def cache_key(target: Target, item: Input) -> bytes:
    """SHA-256 over the model version, the input's kind and its content."""
    digest = hashlib.sha256(f"{target.artifact}\0{target.sha256}\0{item.kind}\0".encode())
    digest.update(item.data)
    return digest.digest()


def _nbytes(numbers: array[float]) -> int:
    """Bytes of the numbers."""
    return numbers.itemsize * len(numbers)
