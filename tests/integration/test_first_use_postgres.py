"""What several processes do at once when a service is new, on a real Postgres."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from app.accounts.service import create_key, find_live, live_keys, rotate
from app.core.errors import HeadstartError
from app.infra.database import make_sessions, now, open_engine, reading, transaction
from app.infra.migrate import migrate
from app.infra.orm import ModelRow
from app.infra.repositories import aliases, models
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


def test_a_key_that_is_rotated_twice_at_once_leaves_one_new_key(engine: Engine) -> None:
    """A caller that has not heard the first answer asks again while it is still being made."""
    migrate(engine)
    sessions = make_sessions(engine)
    with transaction(sessions) as session:
        old = create_key(session, organisation_id="new", name="a", scopes=["read"])[0].id

    def again() -> None:
        with transaction(sessions) as session:
            rotate(session, find_live(session, live_keys(), old), overlap_seconds=60)

    with transaction(sessions) as session:
        rotate(session, find_live(session, live_keys(), old), overlap_seconds=60)
        other = threading.Thread(target=again)
        other.start()
        wait_for(lambda: _waiting(engine) > 0)
    other.join()
    with reading(sessions) as session:
        former = find_live(session, live_keys(), old)
        live = {row.id for row in session.scalars(live_keys())}
        assert live == {old, former.replaced_by}


def test_a_model_that_an_alias_is_about_to_name_is_not_deleted_meanwhile(engine: Engine) -> None:
    migrate(engine)
    sessions = make_sessions(engine)
    refused: list[str] = []
    with transaction(sessions) as session:
        create_key(session, organisation_id="new", name="a", scopes=["read"])
        session.add_all(_model(name, now(session)) for name in ("own", "beside"))
        session.flush()
        aliases.point(session, organisation_id="new", name="a@b", model_id="own")

    def remove() -> None:
        try:
            with transaction(sessions) as session:
                models.delete(session, organisation_id="new", model_id="beside")
        except HeadstartError as error:
            refused.append(error.code)

    with transaction(sessions) as session:
        row = aliases.find(session, organisation_id="new", name="a@b")
        aliases.hold(session, ["beside"], organisation_id="new")
        other = threading.Thread(target=remove)
        other.start()
        wait_for(lambda: _waiting(engine) > 0)
        row.shadow = "beside"
    other.join()
    assert refused == ["in_use"]
    with pytest.raises(HeadstartError, match="no such model"), transaction(sessions) as session:
        aliases.hold(session, ["gone"], organisation_id="new")


def _model(name: str, at: float) -> ModelRow:
    return ModelRow(
        id=name, organisation_id="new", backbone="b", modality="image", method="auto",
        artifact=name, sha256="0", bytes=1, card={}, evaluation={}, created_at=at,
    )  # fmt: skip


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


def test_claims_are_not_compiled_anew_each_time(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.execute(text("SHOW jit")).scalar_one() == "off"


def _waiting(engine: Engine) -> int:
    with engine.connect() as connection:
        blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return int(connection.execute(text(blocked)).scalar_one())
