"""Idempotency-Key on uploads: one version a key, whoever asks again."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit

import httpx
import pytest

from app.infra.database import transaction
from app.infra.orm import IdempotencyRow
from app.uploads.receipts import LEASE_SECONDS
from tests.api.service import Service
from tests.api.uploading import DATASETS, code, made, rows, send, small
from tests.archives import folders, png, zipped
from tests.servers import wait_for


def keyed(name: str) -> dict[str, str]:
    return {"idempotency-key": name}


def test_the_same_upload_again_is_the_same_dataset(service: Service, client: httpx.Client) -> None:
    first = send(client, headers=keyed("k"))
    again = send(client, headers=keyed("k"))
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert rows(service) == 2


def test_an_append_again_is_the_same_version(client: httpx.Client) -> None:
    dataset = made(client)["id"]
    to = f"{DATASETS}/{dataset}/examples"
    data = zipped({"a/new.png": png(77)})
    first = made(client, data, to=to, headers=keyed("k"))
    again = made(client, data, to=to, headers=keyed("k"))
    assert (first["version"], again) == (2, first)


@pytest.mark.parametrize("what", ["content", "name", "field", "route"])
def test_another_upload_with_the_same_key_is_refused(client: httpx.Client, what: str) -> None:
    made(client, headers=keyed("k"))
    data = zipped(folders({"a": 2, "c": 2})) if what == "content" else small()
    answer = send(
        client,
        data,
        headers=keyed("k"),
        filename="other.zip" if what == "name" else "set.zip",
        to="/v1/files" if what == "route" else DATASETS,
        **({"seed": "3"} if what == "field" else {}),
    )
    assert code(answer) == (422, "idempotency_mismatch")


def test_a_key_is_the_organisations_own(client: httpx.Client, other_client: httpx.Client) -> None:
    assert made(client, headers=keyed("k"))["id"] != made(other_client, headers=keyed("k"))["id"]


def test_a_bad_key_is_refused(client: httpx.Client) -> None:
    assert code(send(client, headers=keyed("x" * 300))) == (400, "bad_request")


def test_a_failed_upload_gives_its_key_back(client: httpx.Client) -> None:
    assert send(client, b"no archive", headers=keyed("k")).status_code == 422
    made(client, headers=keyed("k"))


def test_a_key_in_flight_is_refused_and_free_when_its_client_goes(
    service: Service, client: httpx.Client, key: str
) -> None:
    where = urlsplit(service.url)
    with socket.create_connection((where.hostname, where.port)) as connection:
        connection.sendall(
            f"POST {DATASETS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
            "idempotency-key: k\r\ncontent-type: application/zip\r\n"
            "content-length: 1000\r\n\r\nPK".encode()
        )
        staging = service.settings.data_dir / "staging"
        wait_for(lambda: list(staging.glob("*/upload")))
        answer = send(client, headers=keyed("k"))
        assert code(answer) == (409, "in_flight")
        assert 1 <= int(answer.headers["retry-after"]) <= LEASE_SECONDS, "until then it may be held"
        assert "x-should-retry" not in answer.headers
    wait_for(lambda: send(client, headers=keyed("k")).status_code == 201)
    assert rows(service) == 2


def test_a_lease_that_ran_out_may_be_taken(service: Service, client: httpx.Client) -> None:
    with transaction(service.services.sessions) as session:
        session.add(
            IdempotencyRow(
                organisation_id="default",
                key="k",
                request_sha256="0" * 64,
                created_at=4e9,
                lease_until=1.0,
            )
        )
    made(client, headers=keyed("k"))


def test_many_callers_of_one_key_make_one_dataset(service: Service, client: httpx.Client) -> None:
    statuses: list[int] = []

    def call() -> None:
        statuses.append(send(client, headers=keyed("k")).status_code)

    threads = [threading.Thread(target=call) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {201, 409}
    assert 201 in statuses
    assert rows(service) == 2
