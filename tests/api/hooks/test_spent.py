"""Apps that were lost too often at the same work: whoever waits for it is told, and goes on."""

from __future__ import annotations

from typing import Any

import httpx
from sqlalchemy import select, update

from app.infra.database import reading, transaction
from app.infra.orm import WorkRow
from app.infra.repositories.work import MAX_LOSSES
from tests.api.hooks.conftest import Make, until
from tests.api.hooks.test_hooks import run_of, trigger
from tests.api.hooks.test_slow_receivers import deliveries
from tests.api.hooks.test_webhooks import make
from tests.api.service import Service

Told = dict[str, Any]
LONG = 3600


def lose(service: Service, kind: str) -> None:
    """The app is lost once more than it may be, at all of a kind."""
    lost = {"state": "running", "lease_until": 1.0, "losses": MAX_LOSSES - 1}
    with transaction(service.services.sessions) as session:
        session.execute(update(WorkRow).where(WorkRow.kind == kind).values(**lost))


def states(service: Service, kind: str) -> list[str]:
    with reading(service.services.sessions) as session:
        return sorted(session.scalars(select(WorkRow.state).where(WorkRow.kind == kind)))


def test_its_run_fails_and_the_next_trigger_begins_another(
    service: Service, client: httpx.Client, hook: Make
) -> None:
    made = hook(debounce_seconds=LONG)
    run = trigger(client, made)
    lose(service, "hook")
    assert "worker_lost" in run_of(client, run, "failed")["reason"]
    assert trigger(client, made)["status"] == "waiting"


def test_a_schedule_goes_on_with_its_next_time(service: Service, hook: Make) -> None:
    hook(triggers=[{"type": "schedule", "cron": "0 3 1 1 *"}])
    lose(service, "hook")
    until(lambda: states(service, "hook") == ["failed", "queued"])


def test_its_delivery_has_failed(service: Service, client: httpx.Client) -> None:
    webhook = make(client, "http://127.0.0.1:9/")
    client.post(f"/v1/webhooks/{webhook['id']}/test").raise_for_status()
    until(lambda: deliveries(client, webhook)[0]["attempts"])
    lose(service, "webhook")
    until(lambda: deliveries(client, webhook)[0]["status"] == "failed")
    assert states(service, "webhook") == ["failed"]
