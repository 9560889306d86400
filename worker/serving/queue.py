"""A bounded queue that is fair across tenants: turns are taken round robin, and when it is full the
tenant with the longest line gives way to those below their fair share."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from app.core.errors import HeadstartError
from worker.serving.jobs import Item, Job


class FairQueue:
    """Not thread-safe: whoever owns it holds a lock. `len()` is the number of items that wait."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lines: dict[str, deque[Item]] = {}
        self._turns: deque[str] = deque()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push(self, tenant: str, items: Sequence[Item]) -> list[Job]:
        """Queue `items`; answers the jobs that had to leave for them. Raises overloaded."""
        evicted = []
        while self._size + len(items) > self.limit:
            evicted.append(self._make_room(tenant, len(items)))
        line = self._lines.get(tenant)
        if line is None:
            line = self._lines[tenant] = deque()
            self._turns.append(tenant)
        line.extend(items)
        self._size += len(items)
        return evicted

    def pop(self) -> Item:
        """The next item of the tenant whose turn it is. Raises IndexError when empty."""
        tenant = self._turns.popleft()
        line = self._lines[tenant]
        item = line.popleft()
        self._size -= 1
        if line:
            self._turns.append(tenant)
        else:
            del self._lines[tenant]
        return item

    def discard(self, job: Job) -> None:
        """Forget every waiting item of `job`."""
        line = self._lines.get(job.tenant)
        if line is None:
            return
        kept = deque(item for item in line if item.job is not job)
        self._size -= len(line) - len(kept)
        if kept:
            self._lines[job.tenant] = kept
        else:
            del self._lines[job.tenant]
            self._turns.remove(job.tenant)

    def _make_room(self, tenant: str, wanted: int) -> Job:
        """Evict the newest job of the longest line, if that leaves `tenant` within its share."""
        own = len(self._lines.get(tenant, ()))
        share = self.limit / (len(self._lines) + (tenant not in self._lines))
        longest = max(self._lines, key=lambda name: len(self._lines[name]), default=tenant)
        if own + wanted > share or longest == tenant or len(self._lines[longest]) <= share:
            raise HeadstartError("overloaded", "too much is queued; try again", retry_after=1)
        job = self._lines[longest][-1].job
        self.discard(job)
        return job
