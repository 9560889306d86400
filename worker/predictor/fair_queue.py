"""A bounded queue that is fair across tenants: turns are taken round robin, and when it is full the
tenant with the heaviest line gives way to those below their fair share.

Whoever has not had a turn lately goes before those who have, once a round: a lone request waits for
none of a flood (the new flows of FlowQueue-CoDel, RFC 8290, 4.1).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from itertools import chain
from math import inf

from app.core.errors import HeadstartError
from worker.predictor.calls import PendingCall, PendingInput

_NEWCOMERS = 64
"""Who comes anew goes before who has had a turn until so many that did rest: then that is next."""


class FairQueue:
    """Not thread-safe: whoever owns it holds a lock. `len()` is the number of items that wait.

    `limit` is of their weight, and so is a tenant's share; None: it is never full. A queue that is
    empty takes any call.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit: float = inf if limit is None else limit
        self._lines: dict[str, deque[PendingInput]] = {}
        self._fresh: deque[str] = deque()
        self._turns: deque[str] = deque()
        """Who has had a turn since it came; also who rests: nothing of it waits, until its place
        comes up."""
        self._resting: set[str] = set()
        self._weights: Counter[str] = Counter()
        self._count = self._weight = 0
        self.price = 0
        """What all that waits takes of an engine, in usual inputs."""

    def __len__(self) -> int:
        return self._count

    @property
    def tenants(self) -> int:
        """How many have something here."""
        return len(self._lines)

    @property
    def next(self) -> PendingInput:
        """What `pop` would give. Raises IndexError when empty."""
        return self._lines[self._whose_turn()][0]

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
            if tenant in self._resting:
                self._resting.remove(tenant)
            else:
                self._fresh.append(tenant)
        line.extend(items)
        self.price += sum(item.price for item in items)
        self._add(tenant, count=len(items), weight=wanted)
        return evicted

    def pop(self) -> PendingInput:
        """The next item of the tenant whose turn it is. Raises IndexError when empty."""
        return self._pop(self._whose_turn())

    def pop_unlike(self, other: FairQueue) -> PendingInput | None:
        """The next item of a tenant that has nothing in `other`; None where there is none."""
        for tenant in chain(self._fresh, self._turns):
            if tenant in self._lines and tenant not in other._lines:
                return self._pop(tenant)
        return None

    def discard(self, call: PendingCall) -> None:
        """Forget every waiting item of `call`."""
        line = self._lines.get(call.tenant)
        if line is None:
            return
        kept = deque(item for item in line if item.call is not call)
        left = sum(item.weight for item in kept)
        self.price -= sum(item.price for item in line) - sum(item.price for item in kept)
        freed = self._weights[call.tenant] - left
        self._add(call.tenant, count=len(kept) - len(line), weight=-freed)
        if kept:
            self._lines[call.tenant] = kept
        elif call.tenant in self._fresh:  # it has had no turn
            self._fresh.remove(call.tenant)
            del self._lines[call.tenant]
        else:
            self._turns.remove(call.tenant)
            self._rest(call.tenant)

    def _whose_turn(self) -> str:
        """Resting ones whose place has come up have none any more: so few are ever listed."""
        while self._turns and self._turns[0] in self._resting:
            self._resting.remove(self._turns.popleft())
        if self._fresh and (not self._turns or len(self._resting) < _NEWCOMERS):
            return self._fresh[0]
        return self._turns[0]

    def _pop(self, tenant: str) -> PendingInput:
        self._fresh_or_turns(tenant).remove(tenant)
        line = self._lines[tenant]
        item = line.popleft()
        self.price -= item.price
        self._add(tenant, count=-1, weight=-item.weight)
        if line:
            self._turns.append(tenant)
        else:
            self._rest(tenant)
        return item

    def _fresh_or_turns(self, tenant: str) -> deque[str]:
        return self._fresh if tenant in self._fresh else self._turns

    def _rest(self, tenant: str) -> None:
        """Of a tenant of which nothing waits any more: it has had its turn of this round."""
        del self._lines[tenant]
        self._turns.append(tenant)
        self._resting.add(tenant)

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
