"""Connections to Postgres that do not wait for ever for a server that has gone silent.

A server that is frozen, a network that swallows packets and a proxy that stalls close no socket:
without a bound every thread of the process would wait in `recv` until an operator restarts it.
"""

from __future__ import annotations

from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout

Awaited = TypeVar("Awaited")

PATIENCE_SECONDS = 20.0
"""For one statement: longer than a lock is waited for (10 s), and than any statement of ours."""
_KEEPALIVE = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""The kernel's own bounds, for peers that are gone without a word (libpq's parameters)."""


class PatientConnection(psycopg.Connection[Any]):
    """Gives up on a statement that is not answered in time, and then on the connection."""

    patience: float | None = PATIENCE_SECONDS
    """Seconds; None waits for ever, as a migration may."""

    def wait(self, gen: PQGen[Awaited], *args: Any, **kwargs: Any) -> Awaited:
        """psycopg's own, bounded. Raises OperationalError."""
        kwargs.setdefault("timeout", self.patience)
        try:
            return super().wait(gen, *args, **kwargs)
        except _WaitTimeout as error:
            self.pgconn.finish()
            raise psycopg.OperationalError("the server did not answer in time") from error


def connect(*args: Any, **options: Any) -> PatientConnection:
    """A connection, with what psycopg's `connect` takes. Raises OperationalError."""
    return PatientConnection.connect(*args, **{**_KEEPALIVE, **options})


_LIMITS = {
    "idle_in_transaction_session_timeout": "15s",
    "lock_timeout": "10s",
    "jit": "off",  # a claim among thousands would be compiled, each time
}
OF_A_TRANSACTION = "SELECT " + ", ".join(
    f"set_config('{name}', '{value}', true)" for name, value in _LIMITS.items()
)
"""The same for one transaction, where the next one may have another server process."""


def prepare(connection: psycopg.Connection[Any]) -> bool:
    """Set a new connection up; whether a pooler is between, which gives each transaction a server
    process: then nothing of a session holds, neither its settings nor its prepared statements.

    A pooler (PgBouncer and its like) is known by the process that it names at the start and that is
    not the one which answers. Raises OperationalError.
    """
    try:
        return _prepared(connection)
    except psycopg.Error as error:
        raise psycopg.OperationalError(f"a new connection is of no use: {error}") from error


def _prepared(connection: psycopg.Connection[Any]) -> bool:
    answering = connection.execute("SELECT pg_backend_pid()").fetchone()
    pooled = answering is not None and answering[0] != connection.info.backend_pid
    if pooled:
        connection.prepare_threshold = None
    else:
        for name, value in _LIMITS.items():
            connection.execute(f"SET {name} = '{value}'")
    connection.commit()
    return pooled


_GIVEN_UP = ("40P01", "40001")
"""`deadlock_detected`, `serialization_failure`: the same transaction, begun anew, may go well."""
_BUSY = (*_GIVEN_UP, "55P03")
"""And `lock_not_available`, after `lock_timeout`."""


def is_given_up(error: object) -> bool:
    """Whether Postgres has ended a transaction for the sake of another."""
    return _state(error) in _GIVEN_UP


def is_busy(error: object) -> bool:
    """Whether that is so, or another holds for too long what it waited for: nothing is away."""
    return _state(error) in _BUSY


_ENDED = ("25006", "25P03", "57P01", "57P02", "57P03", "57P05")
"""`read_only_sql_transaction`, which a standby says after a failover: another server writes now;
timeouts of a session that an operator has set, and sessions that were ended or not begun."""
_CONNECTION = "08"
"""The class of errors of the connection itself."""


def is_gone(error: object) -> bool:
    """Whether the connection is no good any more, whatever kind of error the driver makes of it.

    One without a state is the driver's own, of a connection on which something came that it had not
    asked for, as when a pooler hands on what ended the server's process.
    """
    state = _state(error)
    if state is None:
        return isinstance(error, psycopg.InternalError)
    return state in _ENDED or state.startswith(_CONNECTION)


def _state(error: object) -> str | None:
    """The SQLSTATE of a driver's error, by itself or as SQLAlchemy wraps it."""
    found = getattr(getattr(error, "orig", error), "sqlstate", None)
    return found if isinstance(found, str) else None
