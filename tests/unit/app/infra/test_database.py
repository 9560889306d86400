"""SQLite's file and log: what is deleted is gone from both."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.infra.database import (
    Sessions,
    database_errors,
    fold_log,
    make_sessions,
    open_engine,
    reading,
    transaction,
)

CANARY = "zqxcanary" * 9


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    engine = open_engine(f"sqlite:///{tmp_path / 'some.db'}")
    made = make_sessions(engine)
    with transaction(made) as session:
        session.execute(text("CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT)"))
        session.execute(
            text("INSERT INTO names (name) VALUES (:name)"), [{"name": CANARY} for _ in range(200)]
        )
    yield made
    engine.dispose()


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("some.db*"))


def test_what_is_deleted_is_in_neither_once_the_log_is_folded(
    sessions: Sessions, tmp_path: Path
) -> None:
    fold_log(sessions)
    with transaction(sessions) as session:
        session.execute(text("DELETE FROM names WHERE id > 100"))
    with transaction(sessions) as session:
        session.execute(text("DELETE FROM names"))
    assert CANARY.encode() in on_disk(tmp_path)
    assert fold_log(sessions)
    assert CANARY.encode() not in on_disk(tmp_path)


def test_a_file_that_cannot_grow_is_said_and_tried_again(
    sessions: Sessions, tmp_path: Path
) -> None:
    """As on a full disk: who deletes is told that it is not done yet, and not of an error."""
    fold_log(sessions)
    with transaction(sessions) as session:
        session.execute(
            text("INSERT INTO names (name) VALUES (:name)"), [{"name": CANARY} for _ in range(9000)]
        )
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "some.db").stat().st_size, limits[1]))
    try:
        folded = fold_log(sessions)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not folded
    assert fold_log(sessions)


@pytest.mark.parametrize("savepoints", [0, 1, 2])
def test_a_full_disk_is_said_within_savepoints_too(sessions: Sessions, savepoints: int) -> None:
    """SQLite gives up the whole transaction then, savepoints included."""
    with pytest.raises(HeadstartError) as caught, transaction(sessions) as session:
        fill_up(session, savepoints)
    assert caught.value.code == "storage_full"


def fill_up(session: Session, savepoints: int) -> None:
    """Write more than the file may grow by."""
    pages = session.execute(text("PRAGMA page_count")).scalar_one()
    session.execute(text(f"PRAGMA max_page_count={pages}"))
    with ExitStack() as within:
        for _ in range(savepoints):
            within.enter_context(session.begin_nested())
        large = {"name": CANARY * 9000}
        session.execute(text("INSERT INTO names (name) VALUES (:name)"), large)


def test_a_database_that_is_away_is_not_said_to_be_full(sessions: Sessions) -> None:
    with pytest.raises(HeadstartError) as caught, transaction(sessions) as session:
        with session.begin_nested():
            session.execute(text("ROLLBACK"))
    assert caught.value.code == "database_unavailable"


def test_a_reader_of_before_keeps_it_and_that_is_said(sessions: Sessions) -> None:
    with reading(sessions) as session:
        assert session.execute(text("SELECT count(*) FROM names")).scalar_one() == 200
        with transaction(sessions) as writer:
            writer.execute(text("DELETE FROM names"))
        assert not fold_log(sessions, wait_seconds=0.1)
    assert fold_log(sessions)


def test_a_damaged_file_is_said_to_be_one(sessions: Sessions, tmp_path: Path) -> None:
    fold_log(sessions)
    sessions.kw["bind"].dispose()
    path = tmp_path / "some.db"
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(len(content) - 100))
    with pytest.raises(HeadstartError, match="damaged") as caught, reading(sessions) as session:
        session.execute(text("SELECT name FROM names")).all()
    assert caught.value.code == "database_unavailable"


def test_what_sqlite_says_by_itself_is_told_as_well() -> None:
    for said, code in (
        ("database or disk is full", "storage_full"),
        ("database is locked", "database_busy"),
    ):
        with pytest.raises(HeadstartError) as caught, database_errors():
            raise sqlite3.OperationalError(said)
        assert caught.value.code == code
