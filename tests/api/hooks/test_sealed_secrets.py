"""Secrets are sealed in the database; without their key, what needs them says so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update
from standardwebhooks.webhooks import Webhook

from app.core import secret_keys
from app.hooks import delivery
from app.infra.database import reading, transaction
from app.infra.orm import HookRow, IdempotencyRow, OrganisationRow, WebhookRow
from app.infra.repositories import pseudonyms, sealing
from app.infra.vault import Vault, key_of, keys
from tests.api.hooks.conftest import Make, until
from tests.api.hooks.receiver import receiving
from tests.api.hooks.test_hooks import problem
from tests.api.hooks.test_webhooks import ended, make
from tests.api.service import Service

pytestmark = pytest.mark.slow

Told = dict[str, Any]
KEYED = {"Idempotency-Key": "once"}


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests do not wait for five seconds and more between two tries."""
    monkeypatch.setattr(delivery, "PAUSES", [0.05] * 3)


@contextmanager
def keyed_by(service: Service, *told: bytes) -> Iterator[None]:
    """The service with these keys and no other, as if it was started so."""
    former = service.services.vault
    object.__setattr__(service.services, "vault", Vault(lambda: list(told)))
    try:
        yield
    finally:
        object.__setattr__(service.services, "vault", former)


def key() -> bytes:
    return secret_keys.decode(secret_keys.new())


def bytes_of(folder: Path) -> bytes:
    """All that is in the database's files."""
    return b"".join(one.read_bytes() for one in folder.glob("headstart.db*"))


def signed(hook: Told, number: int = 1) -> Callable[[httpx.Client], httpx.Response]:
    body, at = json.dumps({"reason": f"call {number}"}), datetime.now(UTC)
    headers = {
        "webhook-id": f"msg_{number}",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(hook["secret"]).sign(f"msg_{number}", at, body),
    }
    path = f"/v1/hooks/{hook['id']}/trigger"
    return lambda client: client.post(path, content=body, headers=headers)


def test_the_database_alone_tells_no_secret(
    service: Service, client: httpx.Client, hook: Make, tmp_path: Path
) -> None:
    body = {"url": "http://127.0.0.1:9/x"}
    webhook = client.post("/v1/webhooks", json=body, headers=KEYED).json()
    again = client.post("/v1/webhooks", json=body, headers=KEYED)
    assert (again.json(), again.headers["idempotent-replayed"]) == (webhook, "true")
    renewed = client.post(f"/v1/webhooks/{webhook['id']}/secret").json()
    calling = hook()
    with transaction(service.services.sessions) as session:
        patients = pseudonyms.key_of(session, service.services.vault, "default")
        assert pseudonyms.key_of(session, service.services.vault, "default") == patients
    stored = bytes_of(tmp_path)
    for secret in (webhook["secret"], renewed["secret"], calling["secret"], patients):
        assert secret.encode() not in stored
    assert (tmp_path / keys.FILE).stat().st_mode & 0o777 == 0o600
    with reading(service.services.sessions) as session:
        row = session.get(IdempotencyRow, ("default", "once"))
        assert row is not None
        assert row.response is not None
        assert key_of(row.response["secret"]) == service.services.vault.newest


def test_what_is_signed_is_as_it_was(service: Service, client: httpx.Client, hook: Make) -> None:
    with receiving() as receiver, service.client(None) as stranger:
        webhook, calling = make(client, receiver.url), hook()
        renewed = client.post(f"/v1/webhooks/{webhook['id']}/secret").json()
        client.post(f"/v1/webhooks/{webhook['id']}/test").raise_for_status()
        ended(client, webhook)
        assert signed(calling)(stranger).status_code == 202
    ((headers, body),) = receiver.taken
    for secret in (webhook["secret"], renewed["secret"]):
        Webhook(secret).verify(body, headers)


def test_without_the_key_what_needs_it_says_so_and_comes_back_with_it(
    service: Service, client: httpx.Client, hook: Make
) -> None:
    with receiving() as receiver, service.client(None) as stranger:
        webhook, calling = make(client, receiver.url), hook()
        with keyed_by(service, key()):
            assert problem(signed(calling)(stranger)) == (503, "secret_unreadable")
            sent = client.post(f"/v1/webhooks/{webhook['id']}/test").json()
            (row,) = ended(client, webhook)
            assert (row["status"], len(row["attempts"])) == ("failed", 4)
            assert "HEADSTART_SECRETS_KEY" in row["attempts"][-1]["error"]
            assert row["attempts"][-1]["status"] is None
        assert receiver.calls == [], "nothing leaves unsigned"
        assert signed(calling)(stranger).status_code == 202
        client.post(f"/v1/webhooks/{webhook['id']}/deliveries/{sent['id']}/redeliver")
        (row,) = ended(client, webhook)
        assert row["status"] == "succeeded"


def test_a_key_that_comes_back_meanwhile_loses_no_event(
    service: Service, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "PAUSES", [0.05] * 200)
    with receiving() as receiver:
        webhook = make(client, receiver.url)
        path = f"/v1/webhooks/{webhook['id']}/deliveries"
        with keyed_by(service):
            client.post(f"/v1/webhooks/{webhook['id']}/test").raise_for_status()
            until(lambda: client.get(path).json()["data"][0]["attempts"])
        (row,) = ended(client, webhook)
    assert row["status"] == "succeeded"


def test_a_renewed_secret_needs_no_former_key(service: Service, client: httpx.Client) -> None:
    with receiving() as receiver:
        webhook = make(client, receiver.url)
        with keyed_by(service, key()):
            renewed = client.post(f"/v1/webhooks/{webhook['id']}/secret").json()
            client.post(f"/v1/webhooks/{webhook['id']}/test").raise_for_status()
            ended(client, webhook)
    ((headers, body),) = receiver.taken
    Webhook(renewed["secret"]).verify(body, headers)


def test_who_sealed_secrets_keeps_none_as_it_is(
    service: Service, client: httpx.Client, dataset: str
) -> None:
    body = {"url": "http://127.0.0.1:9/x"}
    with keyed_by(service):
        client.post("/v1/webhooks", json=body).raise_for_status()
        with reading(service.services.sessions) as session:
            assert key_of(session.scalars(select(WebhookRow.secret)).one()) is None
    client.post("/v1/webhooks", json=body).raise_for_status()
    with keyed_by(service):
        refused = client.post("/v1/webhooks", json=body)
    assert problem(refused) == (503, "secrets_key_missing")


def test_a_former_releases_secrets_sign_until_they_are_sealed_and_after(
    service: Service, client: httpx.Client, hook: Make
) -> None:
    with receiving() as receiver, service.client(None) as stranger:
        with keyed_by(service):
            webhook, calling = make(client, receiver.url), hook()
            assert signed(calling, 1)(stranger).status_code == 202
        assert signed(calling, 2)(stranger).status_code == 202
        with transaction(service.services.sessions) as session:
            assert sealing.seal_all(session, service.services.vault) == (2, 0)
            assert sealing.seal_all(session, service.services.vault) == (0, 0)
        assert signed(calling, 3)(stranger).status_code == 202
        client.post(f"/v1/webhooks/{webhook['id']}/test").raise_for_status()
        ended(client, webhook)
    ((headers, body),) = receiver.taken
    Webhook(webhook["secret"]).verify(body, headers)


def test_a_secret_that_was_put_into_another_row_opens_nothing(
    service: Service, client: httpx.Client, hook: Make
) -> None:
    mine, theirs = hook(), hook(name="theirs")
    with transaction(service.services.sessions) as session:
        stolen = session.scalars(select(HookRow.secret).where(HookRow.id == theirs["id"])).one()
        session.execute(update(HookRow).where(HookRow.id == mine["id"]).values(secret=stolen))
    with service.client(None) as stranger:
        assert problem(signed(theirs | {"id": mine["id"]})(stranger)) == (503, "secret_unreadable")


def test_sealing_anew_under_a_newer_key_and_forgetting_what_is_lost(
    service: Service, client: httpx.Client, hook: Make
) -> None:
    old, new = key(), key()
    with keyed_by(service, old):
        client.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/x"}, headers=KEYED)
        hook()
        with transaction(service.services.sessions) as session:
            pseudonyms.key_of(session, service.services.vault, "default")
    with transaction(service.services.sessions) as session:
        assert sealing.seal_all(session, Vault(lambda: [new])) == (0, 4)
        assert sealing.seal_all(session, Vault(lambda: [new, old])) == (4, 0)
        assert sealing.tally(session) == {secret_keys.name_of(new): 4}
        lost = Vault(lambda: [old])
        assert sealing.lacking(sealing.tally(session), lost) == {secret_keys.name_of(new): 4}
        sealing.seal_all(session, lost, forget_lost=True)
        assert session.scalars(select(OrganisationRow.pseudonym_key)).all() == [None]
        assert len(session.scalars(select(HookRow.secret)).all()) == 1, (
            "hooks are renewed, not lost"
        )
