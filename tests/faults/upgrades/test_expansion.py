"""Migrations only add: what the former release reads and writes goes on while both run.

Each step since the last release is run and looked at on both databases; then the statements that
the release makes of its own tables are run on today's, and the code of today reads what they wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Column, Engine, MetaData, Table, insert, inspect, select, update
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.infra.database import open_engine
from app.infra.migrate import check_schema, current, head, migrate
from app.infra.orm import Base
from tests.faults.upgrades import schemas
from tests.faults.upgrades.schemas import RELEASED, TableSchema, felt
from tests.servers import postgres_database

TEXT = "a"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database."""
    if request.param == "sqlite":
        made = open_engine(f"sqlite:///{tmp_path / 'headstart.db'}")
        yield made
        made.dispose()
        return
    with postgres_database(request.getfixturevalue("postgres")) as url:
        made = open_engine(url)
        yield made
        made.dispose()


def test_no_migration_since_the_release_is_felt_by_it(engine: Engine) -> None:
    seen = {name: felt(before, after) for name, before, after in schemas.steps(engine)}
    assert list(seen)[-1] == head()
    assert {name: why for name, why in seen.items() if why and name[0] == RELEASED[0]} == {}


def test_what_the_release_writes_into_todays_schema_is_read_by_both(engine: Engine) -> None:
    schemas.to(engine, RELEASED)
    former = MetaData()
    former.reflect(engine)
    tables = [table for table in former.sorted_tables if table.name != "alembic_version"]
    migrate(engine)
    rows = {table.name: _row(table) for table in tables}
    with engine.begin() as connection:
        for table in tables:
            connection.execute(insert(table).values(rows[table.name]))
            connection.execute(update(table).values(rows[table.name]))
        for table in tables:
            (read,) = connection.execute(select(table)).mappings()
            assert dict(read) == rows[table.name], table.name
    _read_by_today(engine, {table.name for table in tables})
    with engine.begin() as connection:
        for table in reversed(tables):
            assert connection.execute(table.delete()).rowcount == 1, table.name


def _read_by_today(engine: Engine, names: set[str]) -> None:
    """Today's classes load the rows, and nothing is missing that they say is there."""
    with Session(engine) as session:
        for mapper in Base.registry.mappers:
            assert isinstance(mapper.local_table, Table)
            if mapper.local_table.name not in names:
                continue
            (row,) = session.scalars(select(mapper.class_))
            for column in mapper.columns:
                value = getattr(row, mapper.get_property_by_column(column).key)
                assert value is not None or column.nullable, f"{mapper.class_}: {column}"


def _row(table: Table) -> dict[str, Any]:
    """A value for each column. Each table gets one row, so those that refer to it say the same."""
    return {column.name: _value(column) for column in table.columns}


def _value(column: Column[Any]) -> Any:
    values: dict[type[Any], Any] = {
        sa.JSON: {}, sa.String: TEXT, sa.Boolean: False, sa.Integer: 1, sa.Float: 1.5,
        sa.LargeBinary: b"",
    }  # fmt: skip
    return next(value for kind, value in values.items() if isinstance(column.type, kind))


def _plain(**columns: dict[str, Any]) -> TableSchema:
    told = {
        name: {"name": name, "type": sa.String(10), "nullable": True, "default": None} | how
        for name, how in columns.items()
    }
    return TableSchema(told, ("id",), frozenset(), frozenset(), frozenset())  # type: ignore[arg-type]


BEFORE = _plain(id={"nullable": False}, name={})


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ({}, "things is gone"),
        ({"things": _plain(id={"nullable": False})}, "things.name is gone"),
        (
            {"things": _plain(id={"nullable": False}, name={"nullable": False})},
            "things.name may not be empty any more",
        ),
        (
            {"things": _plain(id={"nullable": True}, name={})},
            "things.id may be empty, which its readers do not know",
        ),
        (
            {"things": _plain(id={"nullable": False}, name={"type": sa.String(9)})},
            "things.name was VARCHAR(10), is VARCHAR(9)",
        ),
        (
            {"things": _plain(id={"nullable": False}, name={"type": sa.BigInteger()})},
            "things.name was VARCHAR(10), is BIGINT",
        ),
        (
            {"things": _plain(id={"nullable": False}, name={}, more={"nullable": False})},
            "things.more is new, may not be empty and has no default",
        ),
        (
            {
                "things": TableSchema(
                    BEFORE.columns, ("id",), frozenset({("name",)}), frozenset(), frozenset()
                )
            },
            "things has another unique",
        ),
    ],
)
def test_what_takes_away_or_asks_for_more_is_felt(after: Any, why: str) -> None:
    assert felt({"things": BEFORE}, after) == [why]


@pytest.mark.parametrize(
    "name", [{"type": sa.String(11)}, {"type": sa.Text()}, {}], ids=["longer", "text", "same"]
)
def test_what_only_adds_is_not(name: dict[str, Any]) -> None:
    more = {"nullable": False, "default": "0"}
    after = _plain(id={"nullable": False}, name=name, more=more, empty={})
    assert felt({"things": BEFORE}, {"things": after, "others": BEFORE}) == []


def _set(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")


def test_a_release_starts_on_a_later_ones_database_and_leaves_it_as_it_is(engine: Engine) -> None:
    migrate(engine)
    later = f"{int(head()) + 1:04}"
    _set(engine, later)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE jobs ADD COLUMN of_later VARCHAR(10)")
    migrate(engine)
    with engine.connect() as connection:
        assert current(connection) == later
        check_schema(connection)
    assert "of_later" in {column["name"] for column in inspect(engine).get_columns("jobs")}


def test_a_release_refuses_a_database_from_which_a_later_one_took_something_away(
    engine: Engine,
) -> None:
    migrate(engine)
    _set(engine, f"{int(head()[0]) + 1}001")
    with pytest.raises(HeadstartError, match="later release") as refused:
        migrate(engine)
    assert refused.value.code == "not_ready"


def test_nothing_is_ready_before_the_migrations_of_its_release(engine: Engine) -> None:
    schemas.to(engine, RELEASED)
    with engine.connect() as connection, pytest.raises(HeadstartError, match="headstart prepare"):
        check_schema(connection)
    migrate(engine)
    with engine.connect() as connection:
        check_schema(connection)


def test_migrations_are_numbered_upwards() -> None:
    names = schemas.names()
    assert names == sorted(names)
    assert all(len(name) == 4 and name.isdecimal() for name in names)
