"""What an organisation may hold and ask for: refused by name, counted once, others unharmed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.datasets import service as datasets
from app.infra.database import transaction
from app.uploads.intake import Built
from tests.api.service import Service
from tests.api.uploading import DATASETS, code, made, send, small
from tests.factories import make_dataset, make_key

pytestmark = pytest.mark.slow

JOBS = "/v1/fine_tuning/jobs"
OWN = "/v1/organizations/default"


@pytest.fixture
def operator(service: Service) -> Iterator[httpx.Client]:
    """A caller who may give organisations bounds of their own."""
    key = make_key(service.services.sessions, "operators", scopes=("admin", "operator"))
    with service.client(key) as client:
        yield client


def bound(operator: httpx.Client, **quotas: int) -> None:
    answer = operator.patch(OWN, json={"quotas": quotas})
    assert answer.status_code == 200, answer.text


def job(client: httpx.Client, dataset: str) -> httpx.Response:
    return client.post(JOBS, json={"model": "efficientnet_lite0", "training_file": dataset})


def test_bytes_beyond_the_bound_are_refused_before_and_after_they_came(
    service: Service, client: httpx.Client, other_client: httpx.Client, operator: httpx.Client
) -> None:
    one = len(small())
    bound(operator, stored_bytes=one + one // 2)
    first = made(client)
    refused = send(client)
    assert code(refused) == (429, "quota_exceeded")
    assert refused.json()["quota"] == {"name": "stored_bytes", "limit": one + one // 2}
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert refused.headers["x-should-retry"] == "false"
    unannounced = client.post(
        DATASETS, content=iter([small()]), headers={"content-type": "application/zip"}
    )
    assert code(unannounced) == (429, "quota_exceeded")
    assert client.get(OWN).json()["usage"]["stored_bytes"] == one
    made(other_client)
    assert client.delete(f"{DATASETS}/{first['id']}").status_code == 200
    made(client)


def test_examples_are_counted_over_latest_versions(
    client: httpx.Client, operator: httpx.Client
) -> None:
    made(client)
    bound(operator, examples=11)
    assert code(send(client)) == (429, "quota_exceeded")
    bound(operator, examples=12)
    made(client)
    assert client.get("/v1/organizations/me").json()["usage"]["examples"] == 12


def test_jobs_at_once_are_bounded_and_never_one_too_many(
    service: Service, client: httpx.Client, other_client: httpx.Client, operator: httpx.Client
) -> None:
    bound(operator, jobs=3)
    with transaction(service.services.sessions) as session:
        dataset = make_dataset(session).dataset_id
        others = make_dataset(session, organisation_id="other").dataset_id
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: job(client, dataset), range(12)))
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [429] * 9
    assert job(other_client, others).status_code == 202
    mine = next(answer.json()["id"] for answer in answers if answer.status_code == 202)
    assert client.post(f"{JOBS}/{mine}/cancel").status_code == 200
    assert job(client, dataset).status_code == 202


def test_keys_are_bounded(client: httpx.Client, operator: httpx.Client) -> None:
    held = client.get(OWN).json()["usage"]["keys"]
    bound(operator, keys=held + 1)
    new = {"name": "one more", "scopes": ["read"]}
    assert client.post("/v1/api_keys", json=new).status_code == 201
    assert code(client.post("/v1/api_keys", json=new)) == (429, "quota_exceeded")


def test_who_asks_too_often_is_told_when_to_come_back(
    client: httpx.Client, other_client: httpx.Client, operator: httpx.Client
) -> None:
    bound(operator, requests_per_minute=2)
    ask = {"inputs": [{"text": "x"}]}
    first, second, third = (
        client.post("/v1/models/nobody/predictions", json=ask) for _ in range(3)
    )
    assert code(first) == code(second) == (404, "not_found")
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert (
        first.headers["x-ratelimit-remaining-requests"],
        second.headers["x-ratelimit-remaining-requests"],
    ) == ("1", "0")
    assert code(third) == (429, "rate_limited")
    assert 1 <= int(third.headers["retry-after"]) <= 120
    assert third.headers["ratelimit-remaining"] == "0"
    assert third.headers["ratelimit-reset"] == third.headers["retry-after"]
    assert third.headers["ratelimit-policy"] == "2;w=60"
    free = other_client.post("/v1/models/nobody/predictions", json=ask)
    assert code(free) == (404, "not_found")
    assert "x-ratelimit-limit-requests" not in free.headers
    assert client.get("/v1/models").status_code == 200


def test_only_an_operator_changes_bounds_or_sees_anothers(
    client: httpx.Client, operator: httpx.Client
) -> None:
    assert code(client.patch(OWN, json={"quotas": {"jobs": 0}})) == (403, "forbidden")
    assert code(client.get("/v1/organizations/operators")) == (403, "forbidden")
    assert operator.get(OWN).json()["id"] == "default"
    assert code(operator.get("/v1/organizations/nobody")) == (404, "not_found")
    assert code(operator.patch(OWN, json={"quotas": {"jobs": -1}})) == (422, "invalid_request")
    bound(operator, jobs=5)
    assert client.get(OWN).json()["quotas"]["jobs"] == 5
    bound(operator)
    assert client.get(OWN).json()["quotas"]["jobs"] == 1000


def test_an_upload_that_used_up_the_bound_is_still_answered_again(
    client: httpx.Client, operator: httpx.Client
) -> None:
    bound(operator, stored_bytes=len(small()))
    key = {"idempotency-key": "upload-1"}
    first = send(client, headers=key)
    assert first.status_code == 201, first.text
    again = send(client, headers=key)
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    dry = send(client, to=f"{DATASETS}?validate_only=true")
    assert dry.status_code == 200, dry.text
    assert code(send(client)) == (429, "quota_exceeded")


def test_slow_archives_of_one_organisation_leave_others_their_turn(
    client: httpx.Client, other_client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, take_in = threading.Event(), datasets.build

    def build(path: Path, *, filename: str, **options: Any) -> Built:
        if filename == "slow.zip":
            assert release.wait(60)
        return take_in(path, filename=filename, **options)

    monkeypatch.setattr(datasets, "build", build)
    with ThreadPoolExecutor(6) as pool:
        slow = [pool.submit(send, client, filename="slow.zip") for _ in range(6)]
        try:
            made(other_client)
            assert not any(one.done() for one in slow)
        finally:
            release.set()
        assert [one.result().status_code for one in slow] == [201] * 6
