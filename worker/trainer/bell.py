"""What an idle trainer waits for: a doorbell, a commit by somebody else (SQLite), or a moment."""

from __future__ import annotations

import sqlite3
import threading
import time

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

_LOOK_SECONDS = 0.02

log = structlog.get_logger(__name__)


class Bell:
    """`ring` may be called from any thread; `arm` and `wait` belong to the trainer's loop.

    On SQLite the data version changes with every commit of another connection: reading it costs
    microseconds, so no doorbell is needed there.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rung = threading.Event()
        self._watches = engine.dialect.name == "sqlite"
        self._connection: sqlite3.Connection | None = None
        self._seen: int | None = None

    def ring(self) -> None:
        """Wake the loop up."""
        self._rung.set()

    def arm(self) -> None:
        """Whatever happens from now on ends the next `wait`; call it before looking for work."""
        self._rung.clear()
        self._seen = self._version()

    def wait(self, timeout: float) -> None:
        """Sleep until something happens after `arm`, or for `timeout` seconds."""
        if not self._watches:
            self._rung.wait(timeout)
            return
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and not self._rung.wait(_LOOK_SECONDS):
            if self._version() != self._seen:
                return

    def changed(self) -> bool:
        """Whether something has happened since `arm`."""
        return self._rung.is_set() or (self._watches and self._version() != self._seen)

    def close(self) -> None:
        """Close the watching connection."""
        if self._connection is not None:
            self._connection.close()

    def _version(self) -> int | None:
        if not self._watches:
            return None
        try:
            connection = self._watching()
            return int(connection.execute("PRAGMA data_version").fetchone()[0])
        except (sqlite3.Error, DBAPIError) as error:
            log.warning("database not watched", reason=error)
            return None

    def _watching(self) -> sqlite3.Connection:
        if self._connection is None:
            database = self._engine.url.database
            assert database is not None
            self._connection = sqlite3.connect(
                database, isolation_level=None, check_same_thread=False, timeout=1
            )
        return self._connection
