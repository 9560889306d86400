"""Who is refused without asking the predictor, because it has just refused the same.

A refusal costs a hop, and a flood's refusals take the processor from those who are served
(docs/adr/0037). So what the predictor says of one holds for the tenant's next ones, as far and for
as long as it says, and until anything of that tenant's has ended: then there may be room.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from app.core.errors import HeadstartError
from app.core.messages import LONGEST_RETURN, Call, Options, Target, WaitTooLongError

Served = tuple[str, str]
"""Backbone and artifact: calls of the same meet in one queue of the predictor."""
_MOST = 4096


@dataclass(slots=True)
class _Standing:
    """A refusal that stands `until` then; whoever is told it comes back at `returns`, or later.

    `calls` and `inputs` were refused by it, and the predictor does not know of them yet.
    """

    refusal: WaitTooLongError
    until: float
    returns: float
    calls: int = 0
    inputs: int = 0


class Door:
    """One a process; event loop's thread only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._standing: dict[str, dict[Served, _Standing]] = {}

    def check(self, tenant: str, served: Served, options: Options, inputs: int) -> None:
        """Raise overloaded if the predictor would; `inputs` come back, at a pace as it tells them.

        Never where it might answer without its queue: from its cache, or with another error.
        """
        standing = self._standing.get(tenant, {}).get(served)
        if standing is None or not inputs or not _queues(options, served):
            return
        now = self._clock()
        if now >= standing.until or not standing.refusal.holds_for(options.wait):
            return
        after = min(max(standing.returns - now, standing.refusal.step), LONGEST_RETURN)
        standing.returns += inputs * standing.refusal.step
        standing.calls += 1
        standing.inputs += inputs
        raise HeadstartError("overloaded", standing.refusal.message, retry_after=after)

    def shut(self, call: Call, refusal: WaitTooLongError) -> None:
        """Remember what the predictor said of a call."""
        if call.others:
            return
        now, served = self._clock(), served_by(call.target)
        if len(self._standing) >= _MOST or len(self._standing.get(call.tenant, ())) >= _MOST:
            self._standing.clear()
        returns = now + (refusal.retry_after or 0.0) + refusal.step * countable(call)
        standings = self._standing.setdefault(call.tenant, {})
        former = standings.get(served) or _Standing(refusal, now, returns)
        standings[served] = replace(
            former,
            refusal=refusal,
            until=now + refusal.stands,
            returns=max(returns, former.returns),
        )

    def open(self, tenant: str) -> None:
        """Something of the tenant's has ended: the next one asks."""
        for standing in self._standing.get(tenant, {}).values():
            standing.until = 0.0

    def turned_away(self, call: Call) -> tuple[int, int]:
        """Calls and inputs that were refused here since the predictor was last told of them."""
        standing = None if call.others else self._of(call.tenant, served_by(call.target))
        return (0, 0) if standing is None else (standing.calls, standing.inputs)

    def _of(self, tenant: str, served: Served) -> _Standing | None:
        """What stood, which is over once another call goes by it."""
        standings = self._standing.get(tenant)
        if standings is None:
            return None
        standing = standings.pop(served, None)
        if not standings:
            del self._standing[tenant]
        return standing


def served_by(target: Target) -> Served:
    """Where calls of a target meet."""
    return target.backbone, target.artifact


def countable(call: Call) -> int:
    """Its inputs that are to be computed: what is an error already waits for nobody."""
    return sum(item.kind != "error" for item in call.inputs)


def _queues(options: Options, served: Served) -> bool:
    """Whether such a call is queued for sure, whatever is in it."""
    cached = options.cache and served[1] and not options.passes_cache
    return not cached and options.level is None and not options.levels
