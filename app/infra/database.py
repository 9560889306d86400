"""The database: engines, sessions, and its own clock.

SQLite runs in WAL mode with full durability, and every writing transaction begins IMMEDIATE: a
deferred one that upgrades later fails at once with BUSY_SNAPSHOT instead of waiting its turn.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlalchemy import Engine, Float, create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.core.errors import HeadstartError
from app.infra import collisions, postgres

T = TypeVar("T")
Sessions = sessionmaker[Session]
log = structlog.get_logger(__name__)

THREADS = 40
"""How many requests of a process may have a thread at once (anyio's own limit)."""


def open_engine(url: str) -> Engine:
    """An engine for `url`, set up for its kind of database."""
    if url.startswith("sqlite"):
        return _open_sqlite(url)
    return _open_postgres(url)


_POOLED = "pooled"


def _open_postgres(url: str) -> Engine:
    """A process that freezes within a transaction must not hold its locks for ever."""
    engine = create_engine(
        _with_driver(url),
        hide_parameters=True,  # of statements that errors and logs quote: callers' contents
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=10,
        pool_timeout=5,
        connect_args={"connect_timeout": 3, "client_encoding": "utf8"},
    )

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, args: list[Any], options: dict[str, Any]) -> Any:
        return postgres.connect(*args, **options)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, record: ConnectionPoolEntry) -> None:
        record.info[_POOLED] = postgres.prepare(connection)

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        if connection.info[_POOLED]:
            connection.exec_driver_sql(postgres.OF_A_TRANSACTION)

    @event.listens_for(engine, "handle_error")
    def leave(context: ExceptionContext) -> None:
        if postgres.is_gone(context.original_exception):
            context.is_disconnect = True  # its address may lead to another server by now

    return engine


def _with_driver(url: str) -> str:
    """Plain `postgres://` URLs mean psycopg 3."""
    for plain in ("postgres://", "postgresql://"):
        if url.startswith(plain):
            return "postgresql+psycopg://" + url.removeprefix(plain)
    return url


_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "secure_delete=ON",
    "journal_size_limit=0",
)
"""What is deleted is overwritten, in the log too; freed pages would keep it for long."""
_DAMAGED = "database disk image is malformed"
_WAIT_SECONDS = 15
"""So long a writer waits for another."""


def _open_sqlite(url: str) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args={"timeout": _WAIT_SECONDS, "check_same_thread": False},
        pool_size=10,
        max_overflow=THREADS,
        pool_timeout=5,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # transactions begin in `begin` below
        cursor = connection.cursor()
        with _quoting_what_is_damaged():
            for pragma in _PRAGMAS:
                cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        read_only = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def fold_log(sessions: Sessions, *, wait_seconds: float = 5.0) -> bool:
    """Empty SQLite's log into its file, which it does by itself only after a thousand pages: until
    then what was deleted is readable in both. False where a reader keeps it for longer than that,
    or the file cannot grow: it is to be tried again.
    """
    engine: Engine = sessions.kw["bind"]
    if engine.dialect.name != "sqlite":
        return True
    with database_errors():
        connection = engine.raw_connection()
    cursor = connection.cursor()
    try:
        cursor.execute(f"PRAGMA busy_timeout={int(1000 * wait_seconds)}")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        told = cursor.fetchone()
    except sqlite3.OperationalError:
        return False
    finally:
        cursor.execute(f"PRAGMA busy_timeout={1000 * _WAIT_SECONDS}")
        connection.close()
    return told is None or not told[0]


def refuse_damaged(connection: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError where SQLite does not find its pages in order, those too that
    nothing has read for long. What rows say is not looked at: it has no sums of them.
    """
    with _quoting_what_is_damaged():
        found = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != ("ok",):
        raise sqlite3.DatabaseError(_DAMAGED)


@contextmanager
def _quoting_what_is_damaged() -> Iterator[None]:
    """SQLite quotes a damaged schema in its error, which is no text then."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise sqlite3.DatabaseError(_DAMAGED) from error


def make_sessions(engine: Engine) -> Sessions:
    """A session factory; objects stay readable after the commit."""
    return sessionmaker(engine, expire_on_commit=False)


@contextmanager
def transaction(sessions: Sessions) -> Iterator[Session]:
    """One writing transaction: committed at the end, rolled back on any error."""
    with database_errors(), sessions.begin() as session:
        yield session
    if (under_way := _UNDER_WAY.get()) is not None:
        under_way.final = True


@dataclass
class Undertaking:
    """What is done for one request; `final` once it must not be begun anew: something of it stands,
    or it was tried as often as is sensible.
    """

    final: bool = False


_UNDER_WAY: ContextVar[Undertaking | None] = ContextVar("undertaking", default=None)


@contextmanager
def undertaking() -> Iterator[Undertaking]:
    """See what the block commits, and the threads and tasks that it starts."""
    under_way = Undertaking()
    token = _UNDER_WAY.set(under_way)
    try:
        yield under_way
    finally:
        _UNDER_WAY.reset(token)


_TRIES = 4
_PAUSE_SECONDS = 0.2
_PATIENCE_SECONDS = 20.0
"""After so long nothing is begun anew: each try may wait for its locks."""


def pauses() -> Iterator[float]:
    """Seconds to wait before each further try of what others who wrote at once have spoiled."""
    end = time.monotonic() + _PATIENCE_SECONDS
    for _ in range(1, _TRIES):
        if time.monotonic() > end:
            return
        yield random.uniform(0, _PAUSE_SECONDS)


def repeated(sessions: Sessions, step: Callable[[Session], T]) -> T:
    """`step` in one writing transaction; where others who wrote at once have spoiled that, nothing
    of it is left and it is done anew: what it does besides must bear that. Raises database_busy
    after a few times, and IntegrityError where it names what is not there however often it looks.
    """
    for pause in pauses():
        try:
            with transaction(sessions) as session:
                return step(session)
        except (HeadstartError, IntegrityError) as error:
            if not collisions.is_repeatable(error):
                raise
            log.info("a transaction is repeated", reason=error)
        time.sleep(pause)
    if (under_way := _UNDER_WAY.get()) is not None:
        under_way.final = True
    with transaction(sessions) as session:
        return step(session)


def apart(session: Session, step: Callable[[], object], **about: Any) -> Exception | None:
    """What concerns one thing among others, in a savepoint of its own: why it could not be done, so
    that the others go on, or None. `about` is logged with it.

    Raises what concerns the database as a whole, after which nothing more can be written.
    """
    try:
        with session.begin_nested():
            step()
    except Exception as error:  # whatever a poison row raises
        if is_away(error) and not postgres.is_busy(error):
            raise
        log.warning("one of several was passed by", exc_info=True, **about)
        return error
    return None


def is_away(error: BaseException) -> bool:
    """Whether the driver says that the database is not there, or not for this."""
    if isinstance(error, OperationalError | InterfaceError):
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated


@contextmanager
def reading(sessions: Sessions) -> Iterator[Session]:
    """One reading transaction, which never waits for a writer.

    It connects at its first query: who has yet to get a thread must not hold a connection that
    those who have one wait for.
    """
    reader = sessions.kw["bind"].execution_options(read_only=True)
    with database_errors(), sessions(bind=reader) as session:
        yield session


@contextmanager
def database_errors() -> Iterator[None]:
    """Say `database_unavailable`, `database_busy` or `storage_full` where the driver says something
    of its own.
    """
    try:
        yield
    except (OperationalError, InterfaceError, sqlite3.Error) as error:
        raise translate(error) from error
    except DBAPIError as error:
        if error.connection_invalidated or is_damaged(error):
            raise translate(error) from error
        raise
    except PoolTimeoutError as error:
        raise HeadstartError(
            "database_unavailable", "every database connection is busy; try again", retry_after=1
        ) from error


def translate(error: DBAPIError | sqlite3.Error) -> HeadstartError:
    """The domain's error for a database that is away, locked, damaged or out of disk.

    What it ran into first counts: on a full disk SQLite gives up the transaction as a whole, and
    going back to a savepoint of it fails in turn.
    """
    if any(_is_full(one) for one in _chain(error)):
        why = (
            "the database has no disk space left; deletions, too, go through once its operator has"
            " made a few megabytes of room"
        )
        return HeadstartError("storage_full", why, retry_after=30)
    if is_damaged(error):
        why = "the database is damaged; set it aside and `headstart restore` a backup"
        return HeadstartError("database_unavailable", why)
    if collisions.is_busy(error):
        why = "others were changing the same at once, and this was given up; try again"
        return HeadstartError("database_busy", why, retry_after=1)
    return HeadstartError(
        "database_unavailable", "the database cannot be reached; try again", retry_after=2
    )


def is_damaged(error: DBAPIError | sqlite3.Error) -> bool:
    """Whether SQLite says that the file is not what it wrote."""
    told = (_DAMAGED, "malformed database schema", "file is not a database")
    return any(one in _words(error) for one in told)


def _is_full(error: BaseException) -> bool:
    return any(
        told in _words(error) for told in ("disk is full", "no space left", "disk i/o error")
    )


def _words(error: BaseException) -> str:
    """What a database's driver says; nothing where it is no driver's error."""
    driver = error.orig if isinstance(error, DBAPIError) else error
    return str(driver).lower() if isinstance(error, DBAPIError | sqlite3.Error) else ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it came of, each once."""
    one: BaseException | None = error
    seen: set[int] = set()
    while one is not None and id(one) not in seen:
        yield one
        seen.add(id(one))
        one = one.__cause__ or one.__context__


_CLOCKS = {
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "extract(epoch from clock_timestamp())::double precision",
}


def clock_sql(session: Session) -> str:
    """The SQL expression for the database's clock, in seconds since 1970."""
    return _CLOCKS[session.get_bind().dialect.name]


class Clock(FunctionElement[float]):
    """The same as a part of a statement, whose database is known when it is sent."""

    type = Float()
    inherit_cache = True


@compiles(Clock)
def _clock_sql(_: Clock, compiler: SQLCompiler, **__: Any) -> str:
    return f"({_CLOCKS[compiler.dialect.name]})"


def now(session: Session) -> float:
    """Seconds since 1970 by the database's clock, which every lease is measured with."""
    return float(session.execute(text(f"SELECT {clock_sql(session)}")).scalar_one())
