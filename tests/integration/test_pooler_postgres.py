"""A pooler between the service and Postgres, which gives each transaction any server process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from app.core.errors import HeadstartError
from app.infra.database import open_engine
from tests.servers import again_and_again, pooled, postgres_server
from tests.worker_kit import Kit, open_kit, organisation

pytestmark = pytest.mark.servers

_OF_SESSIONS = (
    "SELECT current_setting('lock_timeout'), current_setting('jit'), "
    "current_setting('idle_in_transaction_session_timeout')"
)


@pytest.fixture
def database() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture
def kit(tmp_path: Path, database: str) -> Iterator[Kit]:
    with pooled(database) as url:
        made = open_kit(tmp_path, database_url=url)
        yield made
        made.engine.dispose()


def test_a_statement_that_was_asked_often_finds_another_process(kit: Kit) -> None:
    """As one that was prepared in the former process would not."""
    organisation(kit)
    process = text("SELECT pg_backend_pid()")
    with kit.engine.connect() as often, kit.engine.connect() as other:
        seen = set()
        for _ in range(20):
            seen.add(often.execute(process).scalar_one())
            often.commit()
        held = {other.execute(process).scalar_one()}
        now = often.execute(process).scalar_one()
    assert now not in held
    assert seen & held, "the process that was asked before is held by another meanwhile"


def test_each_transaction_has_its_limits(kit: Kit) -> None:
    organisation(kit)
    for _ in range(8):
        assert kit.read(lambda session: session.execute(text(_OF_SESSIONS)).one()) == (
            "10s", "off", "15s",
        )  # fmt: skip


def test_what_others_of_the_pooler_get_is_left_as_it_was(kit: Kit) -> None:
    organisation(kit)
    with kit.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        assert raw.execute(_OF_SESSIONS).fetchone()[0] == "0"


def test_server_processes_that_are_ended_are_a_database_that_is_away(
    kit: Kit, database: str
) -> None:
    organisation(kit)
    operator = create_engine(database.replace("postgresql:", "postgresql+psycopg:"))
    others = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )

    def end() -> None:
        with operator.connect() as connection:
            connection.execute(text(others))

    def ask(turn: int) -> str:
        try:
            kit.read(lambda session: session.execute(text(f"SELECT {turn}, pg_sleep(0.01)")))
            kit.commit(lambda session: session.execute(text("SELECT pg_sleep(0.01)")))
        except HeadstartError as error:
            return error.code
        return "ok"

    with again_and_again(end, seconds=0.05), ThreadPoolExecutor(8) as pool:
        said = Counter(pool.map(ask, range(600)))
    operator.dispose()
    assert set(said) == {"ok", "database_unavailable"}, said
    assert ask(0) == "ok"


def test_without_one_a_session_has_them(database: str) -> None:
    engine = open_engine(database)
    try:
        with engine.connect() as connection:
            assert connection.info["pooled"] is False
            assert connection.execute(text(_OF_SESSIONS)).one()[0] == "10s"
            assert connection.connection.driver_connection.prepare_threshold is not None
    finally:
        engine.dispose()
