"""What a trainer does when nobody waits, and now and then when somebody always does.

It forgets what deletions have left, rewrites segments without dead rows, merges small ones and
collects what nothing refers to.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

import structlog

from app.core.errors import HeadstartError
from app.infra import erasure
from app.infra.database import reading, transaction
from app.infra.repositories import audit, deletions, erasures, idempotency, usage, work
from app.infra.repositories.retraining import webhooks
from app.infra.storage import staging, tidy
from worker.trainer.context import Context
from worker.trainer.idle.sweeper import Sweeper

_QUIET_SECONDS = 30.0
_BUSY_SECONDS = 600.0
"""However much is queued, a chore is done this often."""
_SWEEP_SECONDS = 3600.0
_PRUNED_AT_ONCE = 500
_ERASE_SECONDS = 60.0
"""So long whoever deletes something may take to forget it by itself."""

log = structlog.get_logger(__name__)


class Chores:
    """At most one small chore a turn, so that work that arrives does not wait."""

    def __init__(self, context: Context, clock: Callable[[], float] = time.monotonic) -> None:
        self._context = context
        self._clock = clock
        self._sweeper = Sweeper(context.sessions, context.storage)
        self._last = self._swept = clock()
        self._tidied = -math.inf
        self._more = False
        """Segments were rewritten; there may be others that hold what was deleted."""

    def turn(self, *, busy: bool = False) -> bool:
        """Do a chore if one is due; whether one was done. While work is queued, it seldom is."""
        quiet = 0.0 if self._more else _QUIET_SECONDS
        if self._clock() - self._last < (_BUSY_SECONDS if busy else quiet):
            return False
        self._last, self._more = self._clock(), False
        chores = (self._tidy, self._erase, self._sweeper.end_holds, self._sweep, self._compact)
        done = any(map(_tried, chores))
        _tried(self._settle)
        return done

    def _settle(self) -> int:
        erasure.settle(self._context.sessions)
        return 0

    def _tidy(self) -> int:
        if self._clock() - self._tidied < _SWEEP_SECONDS:
            return 0
        self._tidied = self._clock()
        removed = tidy(self._context.settings, self._context.storage)
        if removed:
            log.info("swept up after killed processes", number=removed)
        return 0

    def _erase(self) -> int:
        """What a deletion was killed before, or could not do."""
        context = self._context
        with reading(context.sessions) as session:
            overdue = [
                one.overdue(session, seconds=_ERASE_SECONDS) for one in (erasures, deletions)
            ]
        whose = sorted(set().union(*overdue))[:1]
        done = sum(erasure.finish(context.sessions, context.storage, one) for one in whose)
        if done:
            log.info("deleted contents forgotten", number=done)
        return done

    def _sweep(self) -> int:
        if self._clock() - self._swept < _SWEEP_SECONDS:
            return 0
        self._swept = self._clock()
        self._prune()
        swept = self._sweeper.sweep()
        log.info("swept", number=swept)
        return swept

    def _prune(self) -> None:
        """Rows whose time is over, some at once, so that nobody waits long."""
        days = self._context.settings.audit_days
        old: list[Callable[..., int]] = [
            partial(audit.prune, days=days),
            partial(deletions.prune, days=days),
            partial(usage.prune, days=self._context.settings.usage_days),
        ]
        for prune in (idempotency.prune, work.prune, webhooks.prune, *old):
            gone = _PRUNED_AT_ONCE
            while gone == _PRUNED_AT_ONCE:
                with transaction(self._context.sessions) as session:
                    gone = prune(session, limit=_PRUNED_AT_ONCE)

    def _compact(self) -> int:
        done = self._context.cache.compact(staging(self._context.settings))
        if done:
            log.info("segments rewritten or merged", number=done)
            self._more = True
        return done


def _tried(chore: Callable[[], int]) -> bool:
    """Whether it did anything. One that cannot be done, whatever the reason, is told and passed: it
    keeps neither the others from being done nor the trainer from working.
    """
    try:
        return chore() > 0
    except (HeadstartError, OSError) as error:
        log.warning("chore failed", reason=error)
    except Exception:
        log.exception("chore failed")
    return False
