"""The end of what was written down of predictions."""

from __future__ import annotations

from app.http.dependencies import Services
from app.infra import erasure
from app.infra.database import transaction
from app.infra.repositories.live import log

_AT_ONCE = 500


def remove_logged(services: Services) -> int:
    """Delete logged predictions whose time is over, and their inputs' files. How many."""
    removed, gone = 0, _AT_ONCE
    while gone == _AT_ONCE:
        with transaction(services.sessions) as session:
            gone, needless = log.expire(session, limit=_AT_ONCE)
        erasure.delete(services.storage, needless)
        removed += gone
    return removed
