"""Keys: who is remembered, and for how long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event, update
from sqlalchemy.orm import Session

from app.accounts.service import create_key
from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.http.keyring import Keyring
from app.infra.database import Sessions, make_sessions, now, open_engine, transaction
from app.infra.orm import ApiKeyRow
from app.infra.settings import Settings
from tests.factories import migrated


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    engine = open_engine(f"sqlite:///{migrated(tmp_path)}")
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


class CountedKeyring(Keyring):
    """Counts how often the database is asked."""

    asked = 0

    def look_up(self, authorization: str) -> Identity:
        self.asked += 1
        found = super().look_up(authorization)
        self.meanwhile()
        return found

    def meanwhile(self) -> None:
        """What happens after the database was asked."""


def test_who_comes_while_a_key_is_looked_up_waits_for_that(sessions: Sessions) -> None:
    keys, sent = CountedKeyring(sessions, Settings()), header(sessions)

    async def many() -> list[Identity]:
        return await asyncio.gather(*(keys.identify(sent) for _ in range(50)))

    assert set(asyncio.run(many())) == {keys.recall(sent)}
    assert keys.asked == 1


def test_a_key_that_is_unknown_is_refused_to_everybody_and_not_remembered(
    sessions: Sessions,
) -> None:
    keys = CountedKeyring(sessions, Settings())

    async def many() -> list[Identity | BaseException]:
        told = [keys.identify("Bearer hs_nobody") for _ in range(5)]
        return await asyncio.gather(*told, return_exceptions=True)

    for asked in (1, 2):
        found = asyncio.run(many())
        codes = [one.code for one in found if isinstance(one, HeadstartError)]
        assert codes == ["unauthenticated"] * 5
        assert keys.asked == asked


def test_nobody_waits_for_a_look_up_that_began_before_a_revocation(sessions: Sessions) -> None:
    keys, sent, revoked = CountedKeyring(sessions, Settings()), header(sessions), threading.Event()
    keys.meanwhile = lambda: revoked.wait(10)  # type: ignore[method-assign, assignment]

    async def overtaken() -> str:
        first = asyncio.create_task(keys.identify(sent))
        await asyncio.sleep(0)
        revoke_all(sessions)
        keys.forget()
        revoked.set()
        with pytest.raises(HeadstartError) as caught:
            await keys.identify(sent)
        await asyncio.gather(first, return_exceptions=True)
        return caught.value.code

    assert asyncio.run(overtaken()) == "unauthenticated"
    assert keys.asked == 2


@pytest.mark.parametrize(
    "key", ["hs_\0", "hs_a\0bcdefghijklmnop", "hs_\ud800", "hs_é", "hs_" + 200 * "a"]
)
def test_no_database_is_asked_about_what_can_be_no_key(key: str) -> None:
    def never() -> Session:
        raise AssertionError(key)

    keys = Keyring(never, Settings())  # type: ignore[arg-type]
    with pytest.raises(HeadstartError) as caught:
        keys.look_up(f"Bearer {key}")
    assert caught.value.code == "unauthenticated"


def test_only_a_name_that_fits_ids_becomes_an_organisation(sessions: Sessions) -> None:
    with transaction(sessions) as session, pytest.raises(HeadstartError) as caught:
        create_key(session, organisation_id="a:b", name="test", scopes=["read"])
    assert (caught.value.code, caught.value.param) == ("invalid_value", "organisation")
