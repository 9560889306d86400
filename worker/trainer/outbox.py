"""What a try has put into storage that no row names yet, and its end where none ever will.

Whoever deletes what is worked on ends the work in the same transaction, and knows nothing of files
that a worker is about to store: the deletion may be done by then. So a try that fails, or has lost
its claim, takes back at once what is of no use to the next; what a killed one has put is left to
the sweeper.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import HeadstartError
from app.infra.database import Sessions, reading
from app.infra.repositories import references
from app.infra.storage import Storage

log = structlog.get_logger()


class Outbox:
    """The storage as one try uses it: it remembers what it has put there."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._keys: dict[str, None] = {}

    def put(self, key: str, source: Path) -> None:
        """Store `source` under `key`. Raises storage_full."""
        self._keys[key] = None
        self._storage.put(key, source)

    def fetch(self, key: str) -> Path:
        """A local, read-only path with the content of `key`. Raises FileNotFoundError."""
        return self._storage.fetch(key)

    def delete(self, key: str) -> None:
        """Forget `key`; it need not exist."""
        self._storage.delete(key)

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key under the folder `prefix`."""
        return self._storage.keys(prefix)

    def take_back(self, sessions: Sessions) -> int:
        """Delete what was put and nobody needs, once the try is over; how many files.

        What cannot be looked up or deleted now, the sweeper collects.
        """
        gone = 0
        try:
            for key in self._keys:
                with reading(sessions) as session:
                    needed = references.is_needed(session, key)
                if not needed:
                    self._storage.delete(key)
                    gone += 1
        except (HeadstartError, SQLAlchemyError, OSError) as error:
            log.warning("files are left to the sweeper", reason=error)
        self._keys.clear()
        return gone
