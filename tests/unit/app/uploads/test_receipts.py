"""A key whose holder has failed is free again, also where the database was away as it failed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.errors import HeadstartError
from app.infra.repositories import idempotency
from app.infra.repositories.idempotency import IdempotencyKey, Reply
from app.uploads import receipts
from app.uploads.receipts import LEASE_SECONDS, Receipt, reserve
from tests.worker_kit import Kit, open_kit, organisation


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    made = open_kit(tmp_path)
    yield made
    made.engine.dispose()


@pytest.fixture
def key(kit: Kit) -> IdempotencyKey:
    return IdempotencyKey(organisation_id=organisation(kit), value="k", request_sha256="0" * 64)


def reserved(kit: Kit, key: IdempotencyKey) -> Receipt:
    found = reserve(kit.sessions, key, status=201)
    assert not isinstance(found, Reply)
    return found


async def fails(receipt: Receipt) -> None:
    async with receipt.kept():
        raise HeadstartError("database_unavailable")


def test_a_key_is_given_back_once_the_database_is_there_again(
    kit: Kit, key: IdempotencyKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts, "_AGAIN_SECONDS", 0.01)
    real, tries = idempotency.release, []

    def away(*about: object, **more: object) -> None:
        tries.append(about)
        if len(tries) <= 3:
            raise HeadstartError("database_unavailable")
        real(*about, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(idempotency, "release", away)

    async def body() -> None:
        with pytest.raises(HeadstartError, match="database"):
            await fails(reserved(kit, key))
        assert len(tries) == 1, "its answer has not waited"
        with pytest.raises(HeadstartError, match="in flight"):
            reserved(kit, key)
        await asyncio.gather(*receipts._GIVING_BACK)

    asyncio.run(body())
    assert len(tries) == 4
    reserved(kit, key)


def test_a_key_whose_answer_is_stored_after_all_is_not_given_back(
    kit: Kit, key: IdempotencyKey
) -> None:
    receipt = reserved(kit, key)
    kit.commit(lambda session: receipt.answer(session, {"dataset": "ds_1"}))
    with pytest.raises(HeadstartError, match="database"):
        asyncio.run(fails(receipt))
    found = reserve(kit.sessions, key, status=201)
    assert isinstance(found, Reply)
    assert found.body["dataset"] == "ds_1"


def test_who_comes_meanwhile_is_told_when_the_lease_ends(kit: Kit, key: IdempotencyKey) -> None:
    reserved(kit, key)
    with pytest.raises(HeadstartError, match="in flight") as raised:
        reserved(kit, key)
    assert raised.value.retry_after is not None
    assert LEASE_SECONDS / 2 < raised.value.retry_after <= LEASE_SECONDS
