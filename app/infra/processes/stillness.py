"""Whether another process does nothing at all, as one that hangs or is frozen does."""

from __future__ import annotations

import time
from pathlib import Path

LOOK_SECONDS, LOOKS = 1.0, 60
"""What has used no processor time in so many looks hangs, or is frozen: what computes, or answers,
uses some. Looks are counted, so that a machine that slept has not made any."""


class Stillness:
    """Whether a process has used no processor time for long; without /proc nobody knows."""

    def __init__(self, pid: int | None) -> None:
        self._path = Path(f"/proc/{pid}/stat")
        self._used: list[bytes] = []
        self._looks = 0
        self._next = time.monotonic() + LOOK_SECONDS

    def is_certain(self) -> bool:
        """Looks, if it is time; whether every look lately has found the same."""
        if time.monotonic() < self._next:
            return self._looks >= LOOKS
        self._next = time.monotonic() + LOOK_SECONDS
        used = self._times()
        self._looks = self._looks + 1 if used and used == self._used else 0
        self._used = used
        return self._looks >= LOOKS

    def moved(self) -> None:
        """It has done something, whatever time that took: begin to count anew."""
        self._looks = 0

    def _times(self) -> list[bytes]:
        """Its ticks in user and in system mode, of all threads (proc(5), fields 14 and 15)."""
        try:
            return self._path.read_bytes().rpartition(b")")[2].split()[11:13]
        except OSError:
            return []
