"""What was made once of what never changes: bytes by their key, least recently used first to go."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

_OVERHEAD = 300
"""Bytes an entry costs beside its own."""


class Remembered:
    """Within `budget` bytes; threads may share it."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._entries: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()
        self.nbytes = 0

    def get(self, key: str) -> bytes | None:
        """What is under `key`, which becomes the most recently used."""
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
            return found

    def put(self, key: str, value: bytes) -> None:
        """Remember `value`, and forget the oldest beyond the budget."""
        with self._lock:
            if key in self._entries:
                return
            self._entries[key] = value
            self.nbytes += _OVERHEAD + len(value)
            while self.nbytes > self._budget:
                _, oldest = self._entries.popitem(last=False)
                self.nbytes -= _OVERHEAD + len(oldest)
