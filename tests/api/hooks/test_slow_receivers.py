"""Receivers that answer slowly or never: they wait for each other, and nobody waits for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.hooks import outbound, scheduler, webhooks
from app.infra.database import transaction
from app.infra.repositories.retraining import webhooks as rows
from tests.api.hooks.conftest import until
from tests.api.hooks.receiver import Receiver, receiving
from tests.api.hooks.test_hooks import problem
from tests.api.hooks.test_webhooks import emit, ended, make
from tests.api.service import Service

pytestmark = pytest.mark.slow

Told = dict[str, Any]


@pytest.fixture
def tarpit() -> Iterator[Receiver]:
    """Takes calls and answers none, until the test is over."""
    over = threading.Event()

    def answer(_: int) -> int:
        over.wait(60)
        return 200

    with receiving(answer, at_once=True) as found:
        try:
            yield found
        finally:
            over.set()


def deliveries(client: httpx.Client, webhook: Told) -> list[Told]:
    path = f"/v1/webhooks/{webhook['id']}/deliveries"
    found: list[Told] = client.get(path, params={"limit": "100"}).json()["data"]
    return found


def test_one_organisations_slow_receivers_leave_others_a_way_out(
    service: Service, client: httpx.Client, other_client: httpx.Client, tarpit: Receiver
) -> None:
    slow = make(other_client, tarpit.url)
    for _ in range(webhooks.MOST_TESTS):
        other_client.post(f"/v1/webhooks/{slow['id']}/test").raise_for_status()
    until(lambda: len(tarpit.calls) == scheduler.OWN_AT_ONCE)
    with receiving() as receiver:
        made = make(client, receiver.url)
        for number in range(12):
            emit(service, number)
        assert {row["status"] for row in ended(client, made)} == {"succeeded"}
    assert len(tarpit.calls) == scheduler.OWN_AT_ONCE


def test_test_events_on_their_way_are_bounded(client: httpx.Client, tarpit: Receiver) -> None:
    path = f"/v1/webhooks/{make(client, tarpit.url)['id']}/test"
    for _ in range(webhooks.MOST_TESTS):
        assert client.post(path).status_code == 202
    assert problem(client.post(path)) == (429, "quota_exceeded")
    other = make(client, tarpit.url)
    assert client.post(f"/v1/webhooks/{other['id']}/test").status_code == 202


@pytest.mark.parametrize("error", [TimeoutError(), httpx.ReadTimeout("slow")])
def test_who_lets_the_time_run_out_is_left_alone_for_a_while(
    service: Service, client: httpx.Client, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def post(url: str, *_: object) -> outbound.OutboundReply:
        if "/slow" in url:
            raise error
        return outbound.OutboundReply(status=200, body=b"")

    monkeypatch.setattr(outbound, "post", post)
    slow = make(client, "http://127.0.0.1:1/slow", events=["job.succeeded"])
    quick = make(client, "http://127.0.0.1:1/quick", events=["job.failed"])
    with transaction(service.services.sessions) as session:
        for number in range(6):
            told = {"id": f"ftjob-{number}"}
            rows.emit(session, "job.succeeded", told, organisation_id="default")
    until(lambda: any(row["attempts"] for row in deliveries(client, slow)))
    assert all(row["next_at"] >= row["created_at"] + 59 for row in deliveries(client, slow))
    emit(service, 7, "job.failed")
    assert [row["status"] for row in ended(client, quick)] == ["succeeded"]
    tried = [row for row in deliveries(client, slow) if row["attempts"]]
    assert 1 <= len(tried) <= scheduler.OWN_AT_ONCE
    assert {row["status"] for row in tried} == {"pending"}


def test_an_event_that_waited_for_days_is_tried_once_more_and_then_given_up(
    service: Service, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.hooks.delivery._GIVE_UP_SECONDS", -1.0)
    with receiving(lambda _: 500) as receiver:
        made = make(client, receiver.url)
        emit(service, 1)
        (row,) = ended(client, made)
    assert (row["status"], len(row["attempts"])) == ("failed", 1)
