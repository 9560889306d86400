"""What several processes do at once when a service is new, on a real Postgres."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from app.accounts.service import create_key
from app.infra.database import make_sessions, open_engine, transaction
from app.infra.migrate import migrate
from tests.servers import postgres_server, wait_for

pytestmark = pytest.mark.servers


@pytest.fixture
def engine() -> Iterator[Engine]:
    with postgres_server() as url:
        opened = open_engine(url)
        yield opened
        opened.dispose()


def test_two_first_keys_of_a_new_organisation_are_both_made(engine: Engine) -> None:
    migrate(engine)
    sessions = make_sessions(engine)
    made: list[str] = []

    def make() -> None:
        with transaction(sessions) as session:
            made.append(create_key(session, organisation_id="new", name="b", scopes=["read"])[1])

    with transaction(sessions) as session:
        made.append(create_key(session, organisation_id="new", name="a", scopes=["read"])[1])
        other = threading.Thread(target=make)
        other.start()
        wait_for(lambda: _waiting(engine) > 0)
    other.join()
    assert len(set(made)) == 2


def test_a_replica_waits_for_a_long_migration(engine: Engine) -> None:
    """Longer than any other lock is waited for; its own locks are waited for as briefly as ever."""
    with engine.connect() as busy:
        busy.execute(text("SET idle_in_transaction_session_timeout = 0"))
        busy.execute(text("SELECT pg_advisory_xact_lock(4811)"))
        other = threading.Thread(target=migrate, args=(engine,))
        other.start()
        wait_for(lambda: _waiting(engine) > 0)
        other.join(11)
        assert other.is_alive()
    other.join(60)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM work")).scalar_one() == 0
        assert connection.execute(text("SHOW lock_timeout")).scalar_one() == "10s"


def _waiting(engine: Engine) -> int:
    with engine.connect() as connection:
        blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return int(connection.execute(text(blocked)).scalar_one())
