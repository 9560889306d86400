"""What was made once of what never changes: bytes by their key, least recently used first to go."""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import Lock

_OVERHEAD = 300
"""Bytes an entry costs beside its own."""


class Remembered:
    """Within `budget` bytes; threads may share it."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._entries: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._lock = Lock()
        self.nbytes = 0

    def get(self, key: str) -> bytes | None:
        """What is under `key`, which becomes the most recently used."""
        with self._lock:
            found = self._entries.pop(key, None)
            if found is None:
                return None
            self._entries[key] = found[0], time.monotonic()
            return found[0]

    def put(self, key: str, value: bytes) -> None:
        """Remember `value`, and forget the oldest beyond the budget."""
        with self._lock:
            if key in self._entries:
                return
            self._entries[key] = value, time.monotonic()
            self.nbytes += _OVERHEAD + len(value)
            while self.nbytes > self._budget:
                self._drop_oldest()

    def forget_idle(self, seconds: float) -> int:
        """Forget what nobody has asked for so long, such as what was deleted; how many."""
        with self._lock:
            before, until = len(self._entries), time.monotonic() - seconds
            while self._entries and next(iter(self._entries.values()))[1] < until:
                self._drop_oldest()
            return before - len(self._entries)

    def _drop_oldest(self) -> None:
        _, (oldest, _) = self._entries.popitem(last=False)
        self.nbytes -= _OVERHEAD + len(oldest)
