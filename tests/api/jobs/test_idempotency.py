"""Idempotency-Key: one effect a key, whatever comes in parallel, breaks off or is sent twice."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from app.core.errors import HeadstartError
from app.infra.database import reading, transaction
from app.infra.orm import IdempotencyRow, JobRow
from app.infra.repositories import idempotency
from app.infra.repositories.idempotency import IdempotencyKey, Reply
from app.uploads.receipts import KeyLease, reserve
from tests.api.batches.batching import NOBODYS
from tests.api.service import Service
from tests.factories import make_dataset

pytestmark = pytest.mark.slow

JOBS = "/v1/fine_tuning/jobs"
KEYS, CALLS = 20, 20
"""The promise of 100 keys and 50 calls each is in tests/faults; here its shape."""


@pytest.fixture
def data(service: Service) -> str:
    with transaction(service.services.sessions) as session:
        return make_dataset(session).dataset_id


def body(data: str, **fields: Any) -> dict[str, Any]:
    return {"model": "efficientnet_lite0", "training_file": data, **fields}


def count(service: Service) -> int:
    with reading(service.services.sessions) as session:
        return session.scalars(select(func.count(JobRow.id))).one()


def test_the_same_key_makes_one_job(service: Service, client: httpx.Client, data: str) -> None:
    headers = {"idempotency-key": "once"}
    first = client.post(JOBS, json=body(data), headers=headers)
    second = client.post(JOBS, json=body(data), headers=headers)
    assert first.status_code == second.status_code == 202
    assert first.json() == second.json()
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert count(service) == 1


def test_many_keys_called_at_once_make_one_job_each(
    service: Service, client: httpx.Client, data: str
) -> None:
    def call(number: int) -> tuple[str, int, str]:
        key = f"key-{number % KEYS}"
        answer = client.post(JOBS, json=body(data), headers={"idempotency-key": key})
        return key, answer.status_code, answer.json()["id"]

    with ThreadPoolExecutor(40) as callers:
        answers = list(callers.map(call, range(KEYS * CALLS)))
    assert {status for _, status, _ in answers} == {202}
    assert len({(key, job) for key, _, job in answers}) == KEYS
    assert set(Counter(key for key, _, _ in answers).values()) == {CALLS}
    assert count(service) == KEYS


def test_another_body_under_the_same_key_is_refused(
    service: Service, client: httpx.Client, data: str
) -> None:
    headers = {"idempotency-key": "once"}
    client.post(JOBS, json=body(data), headers=headers).raise_for_status()
    answer = client.post(JOBS, json=body(data, seed=1), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")
    assert answer.json()["param"] == "Idempotency-Key"
    reordered = dict(reversed(body(data).items()))
    assert client.post(JOBS, json=reordered, headers=headers).status_code == 202
    assert count(service) == 1


def test_a_key_belongs_to_its_organisation(
    service: Service, client: httpx.Client, other_client: httpx.Client, data: str
) -> None:
    with transaction(service.services.sessions) as session:
        theirs = make_dataset(session, organisation_id="other").dataset_id
    headers = {"idempotency-key": "once"}
    mine = client.post(JOBS, json=body(data), headers=headers).json()
    other = other_client.post(JOBS, json=body(theirs), headers=headers)
    assert other.status_code == 202
    assert other.json()["id"] != mine["id"]


def test_a_refused_request_does_not_use_its_key_up(
    service: Service, client: httpx.Client, data: str
) -> None:
    headers = {"idempotency-key": "once"}
    refused = client.post(JOBS, json=body(data, model="no_such_net"), headers=headers)
    assert refused.status_code == 422
    assert client.post(JOBS, json=body(data), headers=headers).status_code == 202


def test_a_bad_key_is_refused(client: httpx.Client, data: str) -> None:
    for key in ("x" * 300, "", "two words"):
        answer = client.post(JOBS, json=body(data), headers={"idempotency-key": key})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request"), key


def test_a_repeated_cancel_is_no_conflict(client: httpx.Client, data: str) -> None:
    job = client.post(JOBS, json=body(data)).json()["id"]
    headers = {"idempotency-key": "stop"}
    for replayed in (None, "true"):
        answer = client.post(f"{JOBS}/{job}/cancel", headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        assert answer.headers.get("idempotent-replayed") == replayed
    assert client.post(f"{JOBS}/{job}/cancel").status_code == 409


@pytest.mark.parametrize("content", [b"{", b"\xff", b'{"a": NaN}', b"[" * 10_000])
def test_a_body_that_is_no_json_is_refused_with_its_key(
    client: httpx.Client, data: str, content: bytes
) -> None:
    job = client.post(JOBS, json=body(data)).json()["id"]
    headers = {"idempotency-key": "stop", "content-type": "application/json"}
    for path in (f"{JOBS}/{job}", f"/v1/batch_predictions/{NOBODYS}"):
        answer = client.post(f"{path}/cancel", content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_json")


def test_a_replay_waits_like_the_first(client: httpx.Client, data: str) -> None:
    headers = {"idempotency-key": "once"}
    job = client.post(JOBS, json=body(data), headers=headers).json()["id"]
    client.post(f"{JOBS}/{job}/cancel").raise_for_status()
    answer = client.post(JOBS, json=body(data), headers=headers | {"prefer": "wait=10"})
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")


def test_a_day_later_the_key_is_new(service: Service, client: httpx.Client, data: str) -> None:
    headers = {"idempotency-key": "once"}
    client.post(JOBS, json=body(data), headers=headers).raise_for_status()
    with transaction(service.services.sessions) as session:
        session.execute(update(IdempotencyRow).values(created_at=IdempotencyRow.created_at - 90000))
    client.post(JOBS, json=body(data), headers=headers).raise_for_status()
    assert count(service) == 2


@pytest.fixture
def upload_key(service: Service, key: str) -> IdempotencyKey:
    return IdempotencyKey(organisation_id="default", value="upload", request_sha256="0" * 64)


def test_an_upload_holds_its_key_until_it_is_done(
    service: Service, upload_key: IdempotencyKey
) -> None:
    sessions = service.services.sessions
    upload = reserve(sessions, upload_key, status=202)
    assert isinstance(upload, KeyLease)
    with pytest.raises(HeadstartError, match="in flight") as caught:
        reserve(sessions, upload_key, status=202)
    assert caught.value.code == "in_flight"
    upload.extend()
    with transaction(sessions) as session:
        upload.answer(session, {"id": "ds_1"})
    assert reserve(sessions, upload_key, status=202) == Reply(
        status=202, body={"id": "ds_1", "digest": ""}
    )


def test_a_failed_upload_gives_its_key_back(service: Service, upload_key: IdempotencyKey) -> None:
    upload = reserve(service.services.sessions, upload_key, status=202)
    assert isinstance(upload, KeyLease)
    upload.release()
    assert isinstance(reserve(service.services.sessions, upload_key, status=202), KeyLease)


def test_a_key_whose_upload_died_is_free_once_its_lease_ran_out(
    service: Service, upload_key: IdempotencyKey
) -> None:
    sessions = service.services.sessions
    dead = reserve(sessions, upload_key, status=202)
    assert isinstance(dead, KeyLease)
    with transaction(sessions) as session:
        session.execute(update(IdempotencyRow).values(lease_until=1.0))
    dead.lease = 1.0
    heir = reserve(sessions, upload_key, status=202)
    assert isinstance(heir, KeyLease)
    with pytest.raises(HeadstartError, match="in flight"), transaction(sessions) as session:
        dead.answer(session, {})
    with pytest.raises(HeadstartError, match="in flight"):
        dead.extend()
    with transaction(sessions) as session:
        heir.answer(session, {"id": "ds_2"})


def test_an_upload_under_a_used_key_is_refused(
    service: Service, upload_key: IdempotencyKey
) -> None:
    sessions = service.services.sessions
    upload = reserve(sessions, upload_key, status=202)
    assert isinstance(upload, KeyLease)
    with transaction(sessions) as session:
        upload.answer(session, {})
    other = IdempotencyKey(organisation_id="default", value="upload", request_sha256="1" * 64)
    with pytest.raises(HeadstartError) as caught:
        reserve(sessions, other, status=202)
    assert caught.value.code == "idempotency_mismatch"


def test_a_loser_waits_for_the_winners_commit(service: Service, upload_key: IdempotencyKey) -> None:
    sessions = service.services.sessions
    entered, found = threading.Event(), []

    def lose() -> None:
        entered.wait()
        with transaction(sessions) as session:
            won = idempotency.insert(session, upload_key)
            row = idempotency.find(session, upload_key)
            found.append((won, row.status if row else None))

    loser = threading.Thread(target=lose)
    loser.start()
    with transaction(sessions) as session:
        assert idempotency.insert(session, upload_key)
        entered.set()
        loser.join(0.3)
        assert loser.is_alive()
        idempotency.answer(session, upload_key, Reply(status=202, body={"id": "x"}))
    loser.join(10)
    assert found == [(False, 202)]
