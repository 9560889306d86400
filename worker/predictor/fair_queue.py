"""A bounded queue that is fair across tenants: turns are taken round robin, and when it is full the
tenant with the heaviest line gives way to those below their fair share."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from math import inf

from app.core.errors import HeadstartError
from worker.predictor.calls import PendingCall, PendingInput


class FairQueue:
    """Not thread-safe: whoever owns it holds a lock. `len()` is the number of items that wait.

    `limit` is of their weight, and so is a tenant's share; None: it is never full. A queue that is
    empty takes any call.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit: float = inf if limit is None else limit
        self._lines: dict[str, deque[PendingInput]] = {}
        self._turns: deque[str] = deque()
        self._weights: Counter[str] = Counter()
        self._count = self._weight = 0

    def __len__(self) -> int:
        return self._count

    @property
    def tenants(self) -> int:
        """How many have something here."""
        return len(self._lines)

    @property
    def next(self) -> PendingInput:
        """What `pop` would give. Raises IndexError when empty."""
        return self._lines[self._turns[0]][0]

    def ahead_of(self, tenant: str, count: int) -> int:
        """How many items go before the last of `count` that `tenant` is about to queue.

        Its own line does, and of every other's at most as many, since turns are taken in a round.
        """
        own = self._lines.get(tenant)
        turns = (len(own) if own is not None else 0) + count
        others = (len(line) for other, line in self._lines.items() if other != tenant)
        return turns - count + sum(min(waiting, turns) for waiting in others)

    def has_calls(self, tenant: str, count: int) -> bool:
        """Whether items of at least `count` calls of the tenant wait here."""
        calls: set[int] = set()
        for item in self._lines.get(tenant, ()):
            calls.add(id(item.call))
            if len(calls) >= count:
                return True
        return count <= 0

    def push(self, tenant: str, items: Sequence[PendingInput]) -> list[PendingCall]:
        """Queue `items`; answers the calls that had to leave for them. Raises overloaded."""
        evicted, wanted = [], sum(item.weight for item in items)
        while self._lines and self._weight + wanted > self.limit:
            evicted.append(self._make_room(tenant, wanted))
        line = self._lines.get(tenant)
        if line is None:
            line = self._lines[tenant] = deque()
            self._turns.append(tenant)
        line.extend(items)
        self._add(tenant, count=len(items), weight=wanted)
        return evicted

    def pop(self) -> PendingInput:
        """The next item of the tenant whose turn it is. Raises IndexError when empty."""
        tenant = self._turns.popleft()
        line = self._lines[tenant]
        item = line.popleft()
        self._add(tenant, count=-1, weight=-item.weight)
        if line:
            self._turns.append(tenant)
        else:
            del self._lines[tenant]
        return item

    def discard(self, call: PendingCall) -> None:
        """Forget every waiting item of `call`."""
        line = self._lines.get(call.tenant)
        if line is None:
            return
        kept = deque(item for item in line if item.call is not call)
        left = sum(item.weight for item in kept)
        freed = self._weights[call.tenant] - left
        self._add(call.tenant, count=len(kept) - len(line), weight=-freed)
        if kept:
            self._lines[call.tenant] = kept
        else:
            del self._lines[call.tenant]
            self._turns.remove(call.tenant)

    def _make_room(self, tenant: str, wanted: int) -> PendingCall:
        """Evict the newest call of the heaviest line, if that leaves `tenant` within its share."""
        own = self._weights[tenant]
        share = self.limit / (len(self._lines) + (tenant not in self._lines))
        heaviest = max(self._lines, key=self._weights.__getitem__)
        if own + wanted > share or heaviest == tenant or self._weights[heaviest] <= share:
            raise HeadstartError("overloaded", "too much is queued; try again", retry_after=1)
        call = self._lines[heaviest][-1].call
        self.discard(call)
        return call

    def _add(self, tenant: str, *, count: int, weight: int) -> None:
        self._count += count
        self._weight += weight
        self._weights[tenant] += weight
        if not self._weights[tenant]:
            del self._weights[tenant]
