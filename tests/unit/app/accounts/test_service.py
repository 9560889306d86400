"""Keys: who is remembered, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event, update
from sqlalchemy.orm import Session

from app.accounts.service import create_key
from app.core.errors import HeadstartError
from app.http.keyring import Keyring
from app.infra.database import Sessions, make_sessions, now, open_engine, transaction
from app.infra.migrate import migrate
from app.infra.orm import ApiKeyRow
from app.infra.settings import Settings


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    engine = open_engine(f"sqlite:///{tmp_path / 'test.db'}")
    migrate(engine)
    yield make_sessions(engine)
    engine.dispose()


def header(sessions: Sessions) -> str:
    with transaction(sessions) as session:
        _, key = create_key(session, organisation_id="default", name="test", scopes=["read"])
    return f"Bearer {key}"


def revoke_all(sessions: Sessions) -> None:
    with transaction(sessions) as session:
        session.execute(update(ApiKeyRow).values(revoked_at=now(session)))


def test_a_key_is_remembered_until_one_is_revoked(sessions: Sessions) -> None:
    keys, sent = Keyring(sessions, Settings()), header(sessions)
    assert keys.recall(sent) is None
    assert keys.look_up(sent) == keys.recall(sent)
    keys.forget()
    assert keys.recall(sent) is None


def test_a_look_up_that_a_revocation_overtakes_is_not_remembered(sessions: Sessions) -> None:
    keys, sent = Keyring(sessions, Settings()), header(sessions)

    def overtaken(_: Session, row: object) -> None:
        if isinstance(row, ApiKeyRow) and row.revoked_at is None:
            revoke_all(sessions)
            keys.forget()

    event.listen(Session, "loaded_as_persistent", overtaken)
    try:
        keys.look_up(sent)
    finally:
        event.remove(Session, "loaded_as_persistent", overtaken)
    assert keys.recall(sent) is None
    with pytest.raises(HeadstartError) as caught:
        keys.look_up(sent)
    assert caught.value.code == "unauthenticated"


def test_only_a_name_that_fits_ids_becomes_an_organisation(sessions: Sessions) -> None:
    with transaction(sessions) as session, pytest.raises(HeadstartError) as caught:
        create_key(session, organisation_id="a:b", name="test", scopes=["read"])
    assert (caught.value.code, caught.value.param) == ("invalid_value", "organisation")
