"""What wakes an idle trainer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from app.infra.database import open_engine
from worker.trainer.bell import Bell


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with made.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x INTEGER)")
    yield made
    made.dispose()


@pytest.fixture
def bell(engine: Engine) -> Iterator[Bell]:
    made = Bell(engine)
    yield made
    made.close()


def seconds(bell: Bell, timeout: float) -> float:
    began = time.monotonic()
    bell.wait(timeout)
    return time.monotonic() - began


def insert(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")


def test_nothing_happens_until_the_timeout(bell: Bell) -> None:
    bell.arm()
    assert seconds(bell, 0.2) >= 0.2
    assert not bell.changed()


def test_a_commit_after_arming_wakes(bell: Bell, engine: Engine) -> None:
    bell.arm()
    insert(engine)
    assert bell.changed()
    assert seconds(bell, 10) < 5


def test_a_commit_from_another_thread_wakes_at_once(bell: Bell, engine: Engine) -> None:
    bell.arm()
    timer = threading.Timer(0.2, insert, [engine])
    timer.start()
    assert 0.1 < seconds(bell, 10) < 5
    timer.join()


def test_reading_does_not_wake(bell: Bell, engine: Engine) -> None:
    bell.arm()
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT * FROM t").all()
    assert not bell.changed()


def test_a_ring_wakes_and_arming_forgets_it(bell: Bell) -> None:
    bell.ring()
    assert seconds(bell, 10) < 5
    bell.arm()
    assert seconds(bell, 0.1) >= 0.1


def test_without_a_file_to_watch_only_rings_count() -> None:
    engine = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    bell = Bell(engine)
    bell.arm()
    assert seconds(bell, 0.1) >= 0.1
    bell.ring()
    assert seconds(bell, 10) < 5
    engine.dispose()


def test_a_database_that_went_away_does_not_end_the_wait(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'missing' / 'x.db'}")
    bell = Bell(engine)
    bell.arm()
    assert seconds(bell, 0.1) >= 0.1
    engine.dispose()
