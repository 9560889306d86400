"""Something else that happens between two statements of a request."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError

from app.infra import database
from tests.servers import wait_for

_LOCKED = "database is locked"
Ask = Callable[[], httpx.Response]
_WRITES = {
    "sqlite": re.compile(r"BEGIN IMMEDIATE"),
    "postgresql": re.compile(
        r"\s*(INSERT|UPDATE|DELETE|SELECT\b.*\bFOR (\w+ )*(UPDATE|SHARE))", re.S
    ),
}
"""On SQLite nobody else writes within a transaction; on Postgres anybody may before each statement
that writes or locks."""


class Interposed:
    """Lets `then` happen before one of the statements of others that write or lock."""

    def __init__(self, engine: Engine) -> None:
        self._wanted = _WRITES[engine.dialect.name]
        self._watch = create_engine(engine.url)
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._pool = ThreadPoolExecutor(1)
        self._left = 0
        self._step: Callable[[Any], None] | None = None
        self._seen: dict[int, object] = {}
        self._former: dict[int, object] = {}
        """Requests of before, and what they have started."""
        self.has_given_up = False
        self.told: Future[httpx.Response] | None = None
        event.listen(engine, "before_cursor_execute", self._before)

    def arm(self, at: int, then: Ask) -> None:
        """Before the `at`-th statement from now, once."""
        self.told = None
        self._former |= self._seen
        self._left, self._step = at, lambda _cursor: self._let_happen(then)

    def give_up(self, at: int) -> None:
        """Have the database give up the transaction of the `at`-th statement from now, once."""
        self.has_given_up = False
        self._former |= self._seen
        self._left, self._step = at, self._refuse

    def disarm(self) -> httpx.Response | None:
        """What `then` was answered, if it has happened."""
        self._step = None
        return None if self.told is None else self.told.result(60)

    def close(self) -> None:
        self._pool.shutdown()
        self._watch.dispose()

    def _before(self, _connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if not self._wanted.match(statement):
            return
        under_way = database._UNDER_WAY.get()
        if under_way is None or id(under_way) in self._former:
            return  # what the service does by itself, or goes on with after an earlier request
        self._seen[id(under_way)] = under_way
        if self._step is None:
            return
        self._left -= 1
        if self._left == 0:
            step, self._step = self._step, None
            step(cursor)

    def _refuse(self, cursor: Any) -> None:
        self.has_given_up = True
        if self._is_sqlite:  # as after 15 seconds
            raise OperationalError("BEGIN IMMEDIATE", {}, sqlite3.OperationalError(_LOCKED))
        cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'for another' USING ERRCODE = '40P01'; END $$")

    def _let_happen(self, then: Ask) -> None:
        told = self.told = self._pool.submit(then)
        wait_for(lambda: told.done() or self._is_blocked())

    def _is_blocked(self) -> bool:
        """Whether it waits for a lock of the request that it came between."""
        if self._is_sqlite:
            return False
        with self._watch.connect() as connection:
            blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            return bool(connection.execute(text(blocked)).scalar_one())
