"""Webhooks over HTTP: signed, tried again, looked into, sent again, and never to inside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from app.hooks import delivery
from app.infra.database import transaction
from app.infra.repositories.retraining import webhooks
from tests.api.hooks.conftest import until
from tests.api.hooks.receiver import Receiver, receiving
from tests.api.hooks.test_hooks import problem
from tests.api.service import Service

pytestmark = pytest.mark.slow

Told = dict[str, Any]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests do not wait for five seconds and more between two tries."""
    monkeypatch.setattr(delivery, "PAUSES", [0.1] * 9)


def make(client: httpx.Client, url: str, **body: Any) -> Told:
    made = client.post("/v1/webhooks", json={"url": url, **body})
    assert made.status_code == 201, made.text
    told: Told = made.json()
    return told


def emit(service: Service, number: int, type_: str = "job.succeeded") -> None:
    with transaction(service.services.sessions) as session:
        webhooks.emit(session, type_, {"id": f"ftjob-{number}"}, organisation_id="default")


def ended(client: httpx.Client, webhook: Told) -> list[Told]:
    path = f"/v1/webhooks/{webhook['id']}/deliveries"

    def look() -> list[Told] | None:
        rows: list[Told] = client.get(path, params={"limit": "100"}).json()["data"]
        return rows if rows and all(row["status"] != "pending" for row in rows) else None

    found: list[Told] = until(look)
    return found


@pytest.mark.promise(15)
def test_a_hundred_events_arrive_although_half_of_the_deliveries_fail(
    service: Service, client: httpx.Client
) -> None:
    with receiving(stumbling=True) as receiver:
        made = make(client, receiver.url)
        for number in range(100):
            emit(service, number)
        rows = until(lambda: len({call[0]["webhook-id"] for call in receiver.taken}) == 100
                     and ended(client, made), 60)  # fmt: skip
    assert len(rows) == 100
    assert len(receiver.calls) >= 200
    assert {row["status"] for row in rows} == {"succeeded"}
    for headers, body in receiver.taken:
        Webhook(made["secret"]).verify(body, headers)
    data = {json.loads(body)["data"]["id"] for _, body in receiver.taken}
    assert len(data) == 100


def test_only_what_is_wanted_is_sent(
    service: Service, client: httpx.Client, receiver: Receiver
) -> None:
    made = make(client, receiver.url, events=["model.promoted"])
    emit(service, 1)
    emit(service, 2, "model.promoted")
    assert [row["type"] for row in ended(client, made)] == ["model.promoted"]


def test_a_test_event_and_sending_again(
    client: httpx.Client, other_client: httpx.Client, receiver: Receiver
) -> None:
    made = make(client, receiver.url)
    path = f"/v1/webhooks/{made['id']}"
    sent = client.post(f"{path}/test")
    assert sent.status_code == 202
    (row,) = ended(client, made)
    again = client.post(f"{path}/deliveries/{row['id']}/redeliver")
    assert (again.status_code, again.json()["status"]) == (202, "pending")
    (row,) = ended(client, made)
    assert [attempt["status"] for attempt in row["attempts"]] == [200, 200]
    assert {call[0]["webhook-id"] for call in receiver.taken} == {row["event"]}
    assert client.get(f"{path}/deliveries/{row['id']}").json() == row
    assert problem(other_client.get(f"{path}/deliveries")) == (404, "not_found")


def test_while_a_secret_is_replaced_both_sign(client: httpx.Client, receiver: Receiver) -> None:
    made = make(client, receiver.url)
    path = f"/v1/webhooks/{made['id']}"
    assert "secret" not in client.get(path).json()
    renewed = client.post(f"{path}/secret").json()
    assert renewed["secret"] != made["secret"]
    client.post(f"{path}/test").raise_for_status()
    ended(client, made)
    ((headers, body),) = receiver.taken
    for secret in (made["secret"], renewed["secret"]):
        Webhook(secret).verify(body, headers)


def test_who_is_gone_is_asked_no_more(service: Service, client: httpx.Client) -> None:
    with receiving(lambda _: 410) as receiver:
        made = make(client, receiver.url)
        emit(service, 1)
        (row,) = ended(client, made)
    assert (row["status"], len(row["attempts"])) == ("failed", 1)
    found = client.get(f"/v1/webhooks/{made['id']}").json()
    assert (found["enabled"], found["disabled_reason"]) == (False, "the receiver answered 410 Gone")
    enabled = client.patch(f"/v1/webhooks/{made['id']}", json={"enabled": True}).json()
    assert (enabled["enabled"], enabled["disabled_reason"]) == (True, None)


def test_a_disabled_webhook_is_sent_nothing(
    service: Service, client: httpx.Client, receiver: Receiver
) -> None:
    made = make(client, receiver.url)
    client.patch(f"/v1/webhooks/{made['id']}", json={"enabled": False}).raise_for_status()
    emit(service, 1)
    client.post(f"/v1/webhooks/{made['id']}/test").raise_for_status()
    (row,) = ended(client, made)
    assert (row["type"], row["status"]) == ("webhook.test", "failed")
    assert receiver.calls == []


@pytest.mark.promise(15)
def test_a_redirect_is_not_followed_and_the_last_try_fails(
    service: Service, client: httpx.Client
) -> None:
    with receiving(lambda _: 302) as receiver:
        made = make(client, receiver.url)
        emit(service, 1)
        (row,) = ended(client, made)
    assert [attempt["status"] for attempt in row["attempts"]] == [302] * 10
    assert len(receiver.calls) == 10


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/",
        "http://10.1.2.3/",
        "http://0x0a.1/",
        "http://167772161/",
        "http://[::ffff:10.0.0.1]/",
        "http://[64:ff9b::a00:1]/",
        "http://[fec0::1]/",
        "http://[3fff::1]/",
        "http://[2002:a00:1::]/",
        "http://0.0.0.0/",
        "https://user@example.com/",
        "https://user:secret@example.com/",
        "ftp://example.com/",
        "https:///path",
        "https://example.com:99999/",
        "https://example.com/\r\nhost: inside",
        "https://example.com\\@10.0.0.1/",
        "file:///etc/passwd",
        "http://a..b/",
        "http://.a/",
        f"http://{'a' * 64}.example/",
    ],
)
@pytest.mark.promise(15)
def test_addresses_that_lead_inside(client: httpx.Client, url: str) -> None:
    assert problem(client.post("/v1/webhooks", json={"url": url})) == (422, "unsafe_webhook_url")
    assert client.get("/v1/webhooks").json()["data"] == []


def test_a_name_is_looked_up_again_by_each_try(
    service: Service, client: httpx.Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was public when it was registered and leads inside later is not called."""
    from app.hooks import outbound

    resolved = outbound._resolved
    made = make(client, receiver.url)
    inside = [outbound.ipaddress.ip_address("10.0.0.1")]
    monkeypatch.setattr(outbound, "_resolved", lambda _: inside)
    emit(service, 1)
    until(lambda: client.get(f"/v1/webhooks/{made['id']}/deliveries").json()["data"][0]["attempts"])
    assert receiver.calls == []
    monkeypatch.setattr(outbound, "_resolved", resolved)
    (row,) = ended(client, made)
    assert row["status"] == "succeeded"
    assert "not public" in row["attempts"][0]["error"]
