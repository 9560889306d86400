"""SQLite under several processes: no lost update, no `database is locked`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from app.infra.database import make_sessions, open_engine, reading, transaction

PROCESSES, WRITES = 8, 500
WRITER = """
import sys
from sqlalchemy import text
from app.infra.database import make_sessions, open_engine, transaction
sessions = make_sessions(open_engine(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    with transaction(sessions) as session:
        value = session.execute(text("SELECT n FROM counter")).scalar_one()
        session.execute(text("UPDATE counter SET n = :n"), {"n": value + 1})
"""


@pytest.mark.promise(12)
def test_read_modify_writes_of_many_processes_all_count(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'counter.db'}"
    engine = open_engine(url)
    sessions = make_sessions(engine)
    with transaction(sessions) as session:
        session.execute(text("CREATE TABLE counter (n INTEGER)"))
        session.execute(text("INSERT INTO counter VALUES (0)"))
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, url, str(WRITES)]) for _ in range(PROCESSES)
    ]
    assert [writer.wait(120) for writer in writers] == [0] * PROCESSES
    with reading(sessions) as session:
        assert session.execute(text("SELECT n FROM counter")).scalar_one() == PROCESSES * WRITES
    engine.dispose()


def test_what_is_deleted_is_not_in_the_files(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'headstart.db'}")
    canary = "canary-" * 40
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE kept (text)")
        connection.exec_driver_sql("INSERT INTO kept VALUES (?)", (canary,))
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM kept")
    engine.dispose()  # the last connection's end writes the log into the file
    for file in tmp_path.iterdir():
        assert b"canary-" not in file.read_bytes(), file.name
