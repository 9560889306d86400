"""Audit entries that could not be written when their effect was: written as soon as they can be."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, replace

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import HeadstartError
from app.infra.database import Sessions, transaction
from app.infra.repositories import audit
from app.infra.repositories.audit import Deed

log = structlog.get_logger()
_MOST = 10_000
"""Beyond so many the oldest are in the structured log alone."""


class UnwrittenDeeds:
    """One a process; any thread may write."""

    def __init__(self) -> None:
        self._waiting: deque[Deed] = deque(maxlen=_MOST)

    def write(self, sessions: Sessions, deed: Deed) -> None:
        """Write an entry now or, where that cannot be, later: its effect stands."""
        try:
            with transaction(sessions) as session:
                audit.add(session, deed)
        except (HeadstartError, SQLAlchemyError) as error:
            late = replace(deed, at=time.time())
            log.error("an audit entry is written later", reason=error, **asdict(late))
            self._waiting.append(late)

    def flush(self, sessions: Sessions) -> int:
        """Write what waits, in one transaction; always 0. Raises what prevents it."""
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not taken:
            return 0
        try:
            with transaction(sessions) as session:
                for deed in taken:
                    audit.add(session, deed)
        except Exception:
            self._waiting.extendleft(reversed(taken))
            raise
        return 0
