"""A Postgres that only reads, as a standby does after a failover, or ends what an operator lets it
end: writes wait, and are not lost.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.infra.database import apart, database_errors
from app.infra.orm import OrganisationRow
from tests.servers import postgres_server
from tests.worker_kit import Kit, open_kit, organisation

pytestmark = pytest.mark.servers


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    with postgres_server() as url:
        made = open_kit(tmp_path, database_url=url)
        yield made
        made.engine.dispose()


@contextmanager
def standby(kit: Kit) -> Iterator[None]:
    """Meanwhile each new connection only reads; what the pool has of them afterwards still does."""
    operator = create_engine(kit.engine.url, isolation_level="AUTOCOMMIT")

    def turn(wanted: str) -> None:
        with operator.connect() as connection:
            connection.execute(text("SET default_transaction_read_only = off"))
            name = connection.execute(text("SELECT current_database()")).scalar_one()
            told = f'ALTER DATABASE "{name}" SET default_transaction_read_only = {wanted}'
            connection.execute(text(told))

    turn("on")
    kit.engine.dispose()
    try:
        yield
    finally:
        turn("off")
        operator.dispose()


def test_what_only_reads_is_no_fault_of_ours_and_is_left(kit: Kit) -> None:
    organisation(kit)
    with standby(kit):
        assert kit.read(lambda session: session.get(OrganisationRow, "acme")) is not None
        with pytest.raises(HeadstartError) as told:
            organisation(kit, "bolt")
        assert (told.value.code, told.value.retry_after) == ("database_unavailable", 2)
    organisation(kit, "bolt")  # what led to the standby has been left


def test_it_is_no_poison_row(kit: Kit) -> None:
    """Nothing more can be written after it, so others must not be passed by."""
    organisation(kit)

    def add(session: Session) -> None:
        session.add(OrganisationRow(id="bolt", created_at=0.0))
        session.flush()

    with standby(kit), pytest.raises(HeadstartError) as told, database_errors():
        with Session(kit.engine) as session:
            apart(session, lambda: add(session))
    assert told.value.code == "database_unavailable"
    assert isinstance(told.value.__cause__, DBAPIError)


@pytest.mark.parametrize(
    "ending",
    ["SET LOCAL idle_in_transaction_session_timeout = '20ms'", "SELECT pg_terminate_backend({})"],
)
def test_a_session_that_was_ended_is_left(kit: Kit, ending: str) -> None:
    organisation(kit)

    def broken(session: Session) -> None:
        own = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
        session.execute(text(ending.format(own)))
        time.sleep(0.3)
        session.execute(text("SELECT 1"))

    with pytest.raises(HeadstartError) as told:
        kit.commit(broken)
    assert told.value.code == "database_unavailable"
    assert kit.read(lambda session: session.get(OrganisationRow, "acme")) is not None
