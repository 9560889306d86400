"""What SQLite says of those who write at once, by real errors; `integration` asks Postgres."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from app.core.errors import HeadstartError
from app.infra.collisions import is_busy, is_repeatable, overtaken
from app.infra.database import Sessions, make_sessions, open_engine, repeated, undertaking

TABLES = (
    "CREATE TABLE named (id TEXT PRIMARY KEY, name TEXT NOT NULL)",
    "CREATE TABLE naming (id TEXT PRIMARY KEY, of TEXT REFERENCES named (id))",
    "INSERT INTO named VALUES ('a', 'a')",
    "INSERT INTO naming VALUES ('x', 'a')",
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{tmp_path / 'some.db'}")
    with made.begin() as connection:
        for statement in TABLES:
            connection.execute(text(statement))
    yield made
    made.dispose()


@pytest.fixture
def sessions(engine: Engine) -> Sessions:
    return make_sessions(engine)


def raised(engine: Engine, statement: str) -> DBAPIError:
    with pytest.raises(DBAPIError) as caught, engine.begin() as connection:
        connection.execute(text(statement))
    return caught.value


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("INSERT INTO naming VALUES ('y', 'gone')", "not_found"),
        ("UPDATE naming SET of = 'gone'", "not_found"),
        ("DELETE FROM named", "in_use"),
        ("INSERT INTO named VALUES ('a', 'b')", "in_flight"),
    ],
)
def test_who_is_overtaken_is_told_what_is_there_by_now(
    engine: Engine, statement: str, code: str
) -> None:
    error = raised(engine, statement)
    assert is_repeatable(error)
    told = overtaken(error)
    assert told is not None
    assert told.code == code


def test_a_rule_that_is_not_about_other_rows_is_a_fault_of_ours(engine: Engine) -> None:
    error = raised(engine, "INSERT INTO named (id) VALUES ('b')")
    assert not is_repeatable(error)
    assert overtaken(error) is None
    assert overtaken(ValueError()) is None


def test_a_lock_that_is_kept_is_busy(engine: Engine) -> None:
    impatient = create_engine(engine.url, connect_args={"timeout": 0})
    with engine.begin():
        error = raised(impatient, "INSERT INTO named VALUES ('b', 'b')")
    impatient.dispose()
    assert is_busy(error)
    assert is_repeatable(error)
    assert not is_busy(sqlite3.OperationalError("no such table: named"))


def test_a_step_that_is_overtaken_looks_again(sessions: Sessions) -> None:
    looks = iter(
        ["INSERT INTO naming VALUES ('y', 'gone')", "INSERT INTO naming VALUES ('y', 'a')"]
    )
    repeated(sessions, lambda session: session.execute(text(next(looks))))
    with sessions() as session:
        assert session.execute(text("SELECT count(*) FROM naming")).scalar_one() == 2


def test_what_stands_or_was_tried_often_is_not_begun_anew(sessions: Sessions) -> None:
    with undertaking() as committed:
        assert not committed.final
        repeated(sessions, lambda session: session.execute(text("DELETE FROM naming")))
    assert committed.final
    wrong = text("INSERT INTO naming VALUES ('y', 'gone')")
    with undertaking() as tried, pytest.raises(DBAPIError):
        repeated(sessions, lambda session: session.execute(wrong))
    assert tried.final


def test_a_refusal_of_our_own_is_not_repeated(sessions: Sessions) -> None:
    tries: list[object] = []

    def refuse(session: object) -> None:
        tries.append(session)
        raise HeadstartError("not_found")

    with pytest.raises(HeadstartError):
        repeated(sessions, refuse)
    assert len(tries) == 1
