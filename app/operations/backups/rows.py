"""The rows of a service as a SQLite file, whatever its database is, and back.

Of SQLite the file is a `VACUUM INTO`: one reading transaction, which no writer waits for. Of
Postgres the rows of every table are read in one REPEATABLE READ transaction. So a backup can be
restored on the other footing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Connection,
    Engine,
    Table,
    Text,
    TextClause,
    cast,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.sql import ColumnElement

from app.core.errors import HeadstartError
from app.infra.database import database_errors, open_engine, refuse_damaged, translate
from app.infra.migrate import current, head, migrate
from app.infra.orm import Base
from app.infra.storage import full_disk, place

_AT_ONCE = 1000
_REVISION = text("SELECT version_num FROM alembic_version")


def open_file(path: Path) -> Engine:
    """An engine on a backup's rows, brought to the newest schema. Raises storage_full and
    invalid_value; for a later release's backup too, whose rows this one would read without what it
    does not know.
    """
    engine = open_engine(f"sqlite:///{path}")
    try:
        migrate(engine)
        with engine.connect() as connection:
            there = current(connection)
        if there != head():
            raise HeadstartError("not_ready", f"it is at migration {there}, of a later release")
    except Exception as error:
        engine.dispose()
        raise _none_of_ours(error) from error
    return engine


def check(path: Path) -> None:
    """Look at what may be any file before it is opened as a backup's rows. Raises storage_full, and
    invalid_value unless it is a whole database of this release or a former.
    """
    try:
        with closing(sqlite3.connect(path)) as connection:
            refuse_damaged(connection)
            if connection.execute(str(_REVISION)).fetchone() is None:
                raise HeadstartError("not_ready", "it is at no migration")
    except sqlite3.Error as error:
        raise _none_of_ours(error) from error
    except HeadstartError as error:
        raise _none_of_ours(error) from None
    engine = open_file(path)
    try:
        with engine.connect() as connection:
            for table in Base.metadata.sorted_tables:
                connection.execute(select(table).limit(1)).first()
    except Exception as error:
        raise _none_of_ours(error) from error
    finally:
        engine.dispose()


def _none_of_ours(error: Exception) -> HeadstartError:
    known = translate(error) if isinstance(error, DBAPIError | sqlite3.Error) else full_disk(error)
    if known is not None and known.code == "storage_full":
        return known
    why = " ".join(str(getattr(error, "orig", None) or error).split())
    told = "the backup's database is none of this release or a former"
    return HeadstartError("invalid_value", f"{told}: {why}")


def save(engine: Engine, target: Path) -> None:
    """Write the rows of now to a new file. Raises not_ready, database_unavailable."""
    target.unlink(missing_ok=True)
    with database_errors():
        if engine.dialect.name == "sqlite":
            _vacuum(str(engine.url.database), target)
        else:
            _save_rows(engine, target)


def _vacuum(source: str, target: Path) -> None:
    with closing(sqlite3.connect(source, isolation_level=None, timeout=60)) as connection:
        refuse_damaged(connection)
        connection.execute("VACUUM INTO ?", [str(target)])


def _save_rows(engine: Engine, target: Path) -> None:
    copy = open_file(target)
    reading = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    try:
        with reading.connect() as source, copy.begin() as sink:
            source.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            if source.execute(_REVISION).scalar() != head():
                raise HeadstartError(
                    "not_ready", "the database has another schema; `headstart prepare` migrates it"
                )
            _copy(source, sink)
    finally:
        copy.dispose()


def is_empty(engine: Engine) -> bool:
    """Whether no table of the database has a row; none is made by looking. Raises
    database_unavailable.
    """
    if engine.dialect.name == "sqlite" and not Path(str(engine.url.database)).exists():
        return True
    with database_errors(), engine.connect() as connection:
        there = set(inspect(connection).get_table_names())
        tables = [table for table in Base.metadata.sorted_tables if table.name in there]
        return all(connection.execute(select(table).limit(1)).first() is None for table in tables)


def load(source: Engine, file: Path, engine: Engine, *, last: Callable[[], None]) -> None:
    """Put the rows of a backup, which `source` is open on, into an empty database.

    `last` is called when nothing is left to do but to let them be seen. Raises
    database_unavailable, storage_full, and invalid_value for what the database refuses.
    """
    if engine.dialect.name == "sqlite":
        source.dispose()
        engine.dispose()
        path = Path(str(engine.url.database))
        for beside in ("-wal", "-shm"):
            path.with_name(path.name + beside).unlink(missing_ok=True)
        last()
        place(file, path)
        return
    with database_errors():
        migrate(engine)
        with source.connect() as rows, engine.begin() as sink:
            try:
                _copy(rows, sink)
            except (IntegrityError, DataError) as error:
                why = str(error.orig).partition("\n")[0]  # what follows quotes the row
                raise HeadstartError(
                    "invalid_value", f"the database refuses the backup's rows: {why}"
                ) from None
            for table in Base.metadata.sorted_tables:
                _set_sequence(sink, table)
            last()


def _copy(source: Connection, sink: Connection) -> None:
    """Every table, those that others refer to first; JSON as its text, so that no null changes."""
    streaming = source.execution_options(yield_per=_AT_ONCE)
    for table in Base.metadata.sorted_tables:
        columns = [_as_text(column) for column in table.columns]
        ordered = select(*columns).order_by(*table.primary_key.columns)
        for part in streaming.execute(ordered).mappings().partitions(_AT_ONCE):
            sink.execute(_into(table, sink.dialect.name), [dict(row) for row in part])


def _as_text(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return cast(column, Text).label(column.key) if isinstance(column.type, JSON) else column


def _into(table: Table, dialect: str) -> TextClause:
    columns = ", ".join(f'"{column.key}"' for column in table.columns)
    values = ", ".join(
        f"CAST(:{column.key} AS JSON)"
        if dialect == "postgresql" and isinstance(column.type, JSON)
        else f":{column.key}"
        for column in table.columns
    )
    return text(f'INSERT INTO "{table.name}" ({columns}) VALUES ({values})')  # noqa: S608


def _set_sequence(sink: Connection, table: Table) -> None:
    """Let the next id follow those that came with the rows."""
    column = table.autoincrement_column
    if column is not None:
        sink.execute(
            text(
                f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column.name}'),"  # noqa: S608
                f' coalesce(max("{column.name}"), 1)) FROM "{table.name}"'
            )
        )
