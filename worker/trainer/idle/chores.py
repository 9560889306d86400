"""What a trainer does when nobody waits: merge small segments, collect what nothing refers to."""

from __future__ import annotations

import math
import time

import structlog

from app.core.errors import HeadstartError
from app.infra.storage import staging, sweep_scratch
from worker.trainer.context import Context
from worker.trainer.idle.sweeper import Sweeper

_QUIET_SECONDS = 30.0
_SWEEP_SECONDS = 3600.0

log = structlog.get_logger(__name__)


class Chores:
    """At most one small chore a turn, so that work that arrives does not wait."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._sweeper = Sweeper(context.sessions, context.storage)
        self._last = time.monotonic()
        self._swept = time.monotonic()
        self._tidied = -math.inf

    def turn(self) -> bool:
        """Do a chore if one is due; whether one was done."""
        if time.monotonic() - self._last < _QUIET_SECONDS:
            return False
        self._last = time.monotonic()
        try:
            return self._chore()
        except (HeadstartError, OSError) as error:
            log.warning("chore failed", reason=str(error))
            return False

    def _chore(self) -> bool:
        if time.monotonic() - self._tidied >= _SWEEP_SECONDS:
            self._tidied = time.monotonic()
            removed = sweep_scratch(self._context.settings)
            if removed:
                log.info("swept up after killed processes", number=removed)
        merged = self._context.cache.compact(staging(self._context.settings))
        if merged:
            log.info("segments merged", number=merged)
            return True
        if time.monotonic() - self._swept < _SWEEP_SECONDS:
            return False
        self._swept = time.monotonic()
        swept = self._sweeper.sweep()
        log.info("swept", number=swept)
        return swept > 0
