"""Hooks over HTTP: made, called with key or signature, debounced, budgeted, one run at a time."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from standardwebhooks.webhooks import Webhook

from app.hooks import service as hooks
from app.infra.database import reading, transaction
from app.infra.orm import IdempotencyRow
from app.infra.repositories import jobs
from tests.api.hooks.conftest import Make, until
from tests.api.service import Service

pytestmark = pytest.mark.slow

Told = dict[str, Any]


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def runs(client: httpx.Client, hook: Told) -> list[Told]:
    found: list[Told] = []
    after: dict[str, str] = {}
    while True:
        page = client.get(f"/v1/hooks/{hook['id']}/runs", params={"limit": "100", **after}).json()
        found += page["data"]
        if not page["has_more"]:
            return found
        after = {"after": found[-1]["id"]}


def trigger(client: httpx.Client, hook: Told, **body: Any) -> Told:
    made = client.post(f"/v1/hooks/{hook['id']}/trigger", json=body)
    assert made.status_code == 202, made.text
    run: Told = made.json()
    return run


def run_of(client: httpx.Client, run: Told, status: str) -> Told:
    def look() -> Told | None:
        found: Told = client.get(f"/v1/hooks/{run['hook']}/runs/{run['id']}").json()
        return found if found["status"] == status else None

    found: Told = until(look)
    return found


def end(service: Service, run: Told) -> None:
    """Let a run's job be cancelled: there is no trainer here."""
    with transaction(service.services.sessions) as session:
        jobs.cancel_job(session, run["job"])


def test_hooks_of_an_organisation_are_bounded(
    client: httpx.Client, hook: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "MOST", 1)
    made = hook()
    body = {name: made[name] for name in ("name", "dataset", "alias", "job", "triggers")}
    assert problem(client.post("/v1/hooks", json=body)) == (422, "invalid_value")
    client.delete(f"/v1/hooks/{made['id']}").raise_for_status()
    hook()


def test_a_hook_is_made_read_changed_and_deleted(client: httpx.Client, hook: Make) -> None:
    made = hook(triggers=[{"type": "schedule", "cron": "0 3 * * *", "timezone": "Europe/Berlin"}])
    assert made.pop("secret").startswith("whsec_")
    assert made["next_due"] is not None
    assert made["gate"]["rule"] == "non_inferior"
    path = f"/v1/hooks/{made['id']}"
    assert client.get(path).json() == made
    assert client.get("/v1/hooks").json()["data"] == [made]
    changed = client.patch(path, json={"enabled": False, "name": "never"}).json()
    assert (changed["enabled"], changed["name"], changed["next_due"]) == (False, "never", None)
    gone = {"id": made["id"], "object": "hook", "deleted": True, "deletion": None}
    assert client.delete(path).json() == gone
    assert problem(client.get(path)) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"job": {"model": "nonsense"}}, (422, "unknown_backbone")),
        ({"job": {"model": "efficientnet_lite0", "seed": -1}}, (422, "invalid_request")),
        (
            {"job": {"model": "efficientnet_lite0", "method": {"type": "nonsense"}}},
            (422, "unknown_method"),
        ),
        ({"dataset": "ds_" + "0" * 26}, (404, "not_found")),
        ({"alias": "efficientnet_lite0"}, (422, "invalid_value")),
        ({"triggers": []}, (422, "invalid_request")),
        ({"triggers": [{"type": "moon"}]}, (422, "invalid_request")),
        ({"triggers": [{"type": "schedule", "cron": "61 * * * *"}]}, (422, "invalid_value")),
        ({"triggers": [{"type": "schedule", "cron": "0 0 31 2 *"}]}, (422, "invalid_value")),
        ({"triggers": [{"type": "schedule", "cron": "* * * * * *"}]}, (422, "invalid_value")),
        ({"triggers": [{"type": "schedule", "cron": "@daily"}]}, (422, "invalid_value")),
        (
            {"triggers": [{"type": "schedule", "cron": "0 0 * * *", "timezone": "Mars"}]},
            (422, "invalid_value"),
        ),
        (
            {"triggers": [{"type": "schedule", "cron": "0 0 * * *", "timezone": "../etc"}]},
            (422, "invalid_value"),
        ),
        ({"gate": {"evaluation_set": "ds_" + "0" * 26}}, (404, "not_found")),
        ({"gate": {"alpha": 0.9}}, (422, "invalid_request")),
    ],
)
def test_what_is_no_hook_is_refused_at_once(
    client: httpx.Client, dataset: str, body: Told, expected: tuple[int, str]
) -> None:
    new = {
        "name": "nightly",
        "dataset": dataset,
        "alias": "cells@production",
        "job": {"model": "efficientnet_lite0"},
        "triggers": [{"type": "inbound"}],
    }
    assert problem(client.post("/v1/hooks", json=new | body)) == expected
    assert client.get("/v1/fine_tuning/jobs").json()["data"] == []


def test_a_trigger_becomes_a_job(service: Service, client: httpx.Client, hook: Make) -> None:
    made = hook()
    run = trigger(client, made, reason="labels exported")
    assert (run["status"], run["cause"]["reason"]) == ("waiting", "labels exported")
    running = run_of(client, run, "running")
    job = client.get(f"/v1/fine_tuning/jobs/{running['job']}").json()
    assert job["training_file"] == made["dataset"]
    assert job["metadata"] == {"hook": made["id"], "run": run["id"]}
    end(service, running)
    failed = run_of(client, run, "failed")
    assert failed["reason"].startswith("the job cancelled")


def test_many_triggers_are_one_run_and_none_is_lost(client: httpx.Client, hook: Make) -> None:
    made = hook(debounce_seconds=3600)
    with ThreadPoolExecutor(8) as pool:
        asked = list(pool.map(lambda _: trigger(client, made), range(60)))
    rows = runs(client, made)
    assert {row["id"] for row in rows} == {row["id"] for row in asked}
    assert Counter(row["status"] for row in rows)["skipped"] == 59
    (waiting,) = [row for row in rows if row["joined"] is None]
    assert waiting["triggers"] == 60
    assert {row["joined"] for row in rows} == {None, waiting["id"]}


def test_a_call_that_is_repeated_under_its_key_counts_once(
    client: httpx.Client, hook: Make
) -> None:
    path = f"/v1/hooks/{hook()['id']}/trigger"
    again = {"Idempotency-Key": "nightly"}
    first = client.post(path, headers=again)
    assert client.post(path, json={"reason": "another"}).status_code == 202
    second = client.post(path, headers=again)
    assert (first.status_code, second.status_code) == (202, 202)
    assert second.json() == first.json()
    assert second.headers["idempotent-replayed"] == "true"
    other = client.post(path, headers=again, json={"reason": "other"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    bad = client.post(path, headers={"Idempotency-Key": "a b"})
    assert (bad.status_code, bad.json()["code"]) == (400, "bad_request")


def test_what_was_debounced_runs(client: httpx.Client, hook: Make) -> None:
    made = hook(debounce_seconds=0.5)
    assert run_of(client, trigger(client, made), "running")["job"]


def test_one_run_at_a_time_and_nothing_twice(
    service: Service, client: httpx.Client, hook: Make
) -> None:
    made = hook(debounce_seconds=0)
    first = run_of(client, trigger(client, made), "running")
    second = trigger(client, made, force=True)
    third = trigger(client, made)
    assert third["joined"] == second["id"]
    assert run_of(client, second, "waiting")
    end(service, first)
    end(service, run_of(client, second, "running"))
    same = trigger(client, made)
    running = run_of(client, same, "running")
    again = trigger(client, made)
    assert run_of(client, again, "waiting")["job"] is None
    end(service, running)


def test_the_budget_of_a_day(service: Service, client: httpx.Client, hook: Make) -> None:
    made = hook(debounce_seconds=0, max_runs_per_day=1)
    end(service, run_of(client, trigger(client, made), "running"))
    skipped = run_of(client, trigger(client, made, force=True), "skipped")
    assert "max_runs_per_day" in skipped["reason"]


def test_a_disabled_hook_says_so(client: httpx.Client, hook: Make) -> None:
    made = hook(enabled=False, debounce_seconds=0)
    assert run_of(client, trigger(client, made), "skipped")["reason"] == "the hook is disabled"


def signed(secret: str, body: str, message: str, at: datetime | None = None) -> dict[str, str]:
    moment = at or datetime.now(UTC)
    return {
        "webhook-id": message,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(message, moment, body),
        "content-type": "application/json",
    }


def test_a_signed_call_needs_no_key_and_counts_once(service: Service, hook: Make) -> None:
    made = hook()
    path, body = f"/v1/hooks/{made['id']}/trigger", '{"reason": "from the labelling tool"}'
    headers = signed(made["secret"], body, "msg_1")
    with service.client(None) as nobody:
        taken = nobody.post(path, content=body, headers=headers)
        assert taken.status_code == 202
        assert taken.json()["cause"]["message"] == "msg_1"
        replayed = nobody.post(path, content=body, headers=headers)
        assert problem(replayed) == (409, "replayed")
        other = nobody.post(path, content=body + " ", headers=headers)
        assert problem(other) == (401, "unauthenticated")
        old = datetime.now(UTC) - timedelta(minutes=6)
        stale = signed(made["secret"], body, "msg_2", old)
        answer = nobody.post(path, content=body, headers=stale)
        assert problem(answer) == (401, "unauthenticated")
        assert "behind this server's clock" in answer.json()["detail"]
        forged = {**stale, "webhook-signature": "v1,AAAA"}
        assert "clock" not in nobody.post(path, content=body, headers=forged).json()["detail"]
        unknown = nobody.post(f"/v1/hooks/hook_{'0' * 26}/trigger", content=body, headers=headers)
        assert problem(unknown) == (401, "unauthenticated")
        assert problem(nobody.post(path)) == (401, "unauthenticated")
        assert nobody.get("/v1/hooks", headers=headers).status_code == 401
        garbage = {"webhook-id": "x", "webhook-timestamp": "nan", "webhook-signature": "v1"}
        assert problem(nobody.post(path, headers=garbage)) == (401, "unauthenticated")


def test_only_hooks_that_say_so_are_called_by_signature(service: Service, hook: Make) -> None:
    made = hook(triggers=[{"type": "labels", "count": 5}])
    with service.client(None) as nobody:
        headers = signed(made["secret"], "", "msg_1")
        answer = nobody.post(f"/v1/hooks/{made['id']}/trigger", headers=headers)
    assert problem(answer) == (401, "unauthenticated")


def test_another_organisation_sees_nothing(other_client: httpx.Client, hook: Make) -> None:
    path = f"/v1/hooks/{hook()['id']}"
    for method, at in (("GET", ""), ("DELETE", ""), ("GET", "/runs"), ("POST", "/trigger")):
        answer = other_client.request(method, path + at)
        assert problem(answer) == (404, "not_found"), (method, at)


def test_a_schedule_comes_due_and_goes_on(
    service: Service, client: httpx.Client, hook: Make
) -> None:
    from sqlalchemy import select

    from app.infra.orm import WorkRow

    made = hook(triggers=[{"type": "schedule", "cron": "0 3 * * *"}], debounce_seconds=0)

    def queued() -> list[WorkRow]:
        with transaction(service.services.sessions) as session:
            rows = session.scalars(select(WorkRow).where(WorkRow.state == "queued"))
            return [row for row in rows if "schedule" in row.payload]

    (first,) = queued()
    with transaction(service.services.sessions) as session:
        session.get_one(WorkRow, first.id).not_before = 0.0
    (run,) = until(lambda: runs(client, made))
    assert run["cause"]["cron"] == "0 3 * * *"
    (second,) = queued()
    assert second.id != first.id
    assert second.not_before > first.not_before - 1


def test_a_deleted_hooks_secret_is_nowhere(
    service: Service, client: httpx.Client, dataset: str
) -> None:
    body = {
        "name": "n",
        "dataset": dataset,
        "alias": "cells@production",
        "job": {"model": "efficientnet_lite0"},
        "triggers": [{"type": "inbound"}],
    }
    keyed = {"Idempotency-Key": "once"}
    made = client.post("/v1/hooks", json=body, headers=keyed).json()
    url = "http://127.0.0.1:9/x"
    told = client.post("/v1/webhooks", json={"url": url}, headers={"Idempotency-Key": "two"}).json()
    assert client.post("/v1/hooks", json=body, headers=keyed).json()["id"] == made["id"]
    for one in (f"/v1/hooks/{made['id']}", f"/v1/webhooks/{told['id']}"):
        assert client.delete(one).status_code == 200
    with reading(service.services.sessions) as session:
        assert session.scalars(select(IdempotencyRow)).all() == []
