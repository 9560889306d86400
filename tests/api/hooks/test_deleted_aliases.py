"""An alias that somebody has deleted does not come back by a hook's run, until the hook is enabled
again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from app.infra.database import transaction
from app.infra.repositories import jobs
from tests.api.hooks.conftest import Make, until
from tests.api.models.test_models import new_model
from tests.api.service import Service

pytestmark = pytest.mark.slow

ALIAS = "/v1/aliases/cells@production"


def trigger(client: httpx.Client, hook: dict[str, Any]) -> str:
    run = client.post(f"/v1/hooks/{hook['id']}/trigger", json={"force": True})
    return f"/v1/hooks/{hook['id']}/runs/{run.raise_for_status().json()['id']}"


def reached(client: httpx.Client, run: str, status: str) -> dict[str, Any]:
    found: dict[str, Any] = until(
        lambda: (told := client.get(run).json())["status"] == status and told
    )
    return found


def succeed(service: Service, job_id: str, model: str) -> None:
    """End a job as a trainer does that has made a model."""
    with transaction(service.services.sessions) as session:
        job = jobs.lock_job(session, job_id)
        if job.status == "validating_files":
            jobs.advance_job(session, job, "queued")
        jobs.advance_job(session, job, "running")
        job.model_id = model
        jobs.advance_job(session, job, "succeeded")


@pytest.mark.parametrize("deleted", ["while it waits", "while it trains"])
def test_a_run_does_not_bring_it_back(
    service: Service, client: httpx.Client, hook: Make, tmp_path: Path, deleted: str
) -> None:
    first = new_model(service, tmp_path)
    client.put(ALIAS, json={"model": first}).raise_for_status()
    made = hook(debounce_seconds=0 if deleted == "while it trains" else 2)
    run = trigger(client, made)
    if deleted == "while it trains":
        job = reached(client, run, "running")["job"]
        client.delete(ALIAS).raise_for_status()
        succeed(service, job, new_model(service, tmp_path, number=2))
    else:
        client.delete(ALIAS).raise_for_status()
    assert "was deleted since the trigger" in reached(client, run, "failed")["reason"]
    assert client.get(ALIAS).status_code == 404
    path = f"/v1/hooks/{made['id']}"
    assert client.get(path).json()["enabled"] is False
    client.patch(path, json={"enabled": True, "debounce_seconds": 0}).raise_for_status()
    assert reached(client, trigger(client, made), "running")["job"]


def _said_deleted(client: httpx.Client, made: dict[str, Any]) -> bool:
    notes = client.get(f"/v1/hooks/{made['id']}").json()["notes"]
    return any("was deleted: the next trigger makes it anew" in one for one in notes)


def test_an_alias_that_was_deleted_before_the_trigger_is_made(
    service: Service, client: httpx.Client, hook: Make, tmp_path: Path
) -> None:
    first = new_model(service, tmp_path)
    client.put(ALIAS, json={"model": first}).raise_for_status()
    made = hook(debounce_seconds=0)
    assert not _said_deleted(client, made)
    client.delete(ALIAS).raise_for_status()
    assert _said_deleted(client, made), "whoever looks is told before it comes back"
    client.patch(f"/v1/hooks/{made['id']}", json={"enabled": False}).raise_for_status()
    assert not _said_deleted(client, made)
    client.patch(f"/v1/hooks/{made['id']}", json={"enabled": True}).raise_for_status()
    run = trigger(client, made)
    job = reached(client, run, "running")["job"]
    succeed(service, job, new_model(service, tmp_path, number=2))
    assert client.get(run).json()["promotion"]
