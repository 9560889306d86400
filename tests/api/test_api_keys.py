"""Keys over HTTP: made once, shown once, revoked at once."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from app.infra.database import reading
from app.infra.orm import ApiKeyRow
from tests.api.service import Service
from tests.api.uploading import DATASETS, code
from tests.factories import make_key

KEYS = "/v1/api_keys"


def make(client: httpx.Client, **fields: object) -> dict[str, str]:
    answer = client.post(KEYS, json={"name": "ci", "scopes": ["read"], **fields})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


@pytest.fixture
def operator(service: Service) -> Iterator[httpx.Client]:
    scopes = ["admin", "operator"]
    with service.client(make_key(service.services.sessions, scopes=scopes)) as client:
        yield client


def test_a_new_key_opens_what_its_scopes_allow(service: Service, client: httpx.Client) -> None:
    made = make(client)
    assert made["object"] == "api_key"
    assert made["key"].startswith(made["prefix"])
    with service.client(made["key"]) as reader:
        assert reader.get(DATASETS).status_code == 200
        assert code(reader.get(KEYS)) == (403, "forbidden")


def test_the_secret_is_told_once_and_stored_nowhere(service: Service, client: httpx.Client) -> None:
    made = make(client)
    listed = client.get(KEYS).json()["data"]
    assert made["id"] in [one["id"] for one in listed]
    assert "key" not in listed[0]
    assert "key" not in client.get(f"{KEYS}/{made['id']}").json()
    with reading(service.services.sessions) as session:
        row = session.get_one(ApiKeyRow, made["id"])
        assert made["key"] not in [str(value) for value in vars(row).values()]


def test_a_revoked_key_stops_at_once(service: Service, client: httpx.Client) -> None:
    made = make(client)
    with service.client(made["key"]) as holder:
        assert holder.get(DATASETS).status_code == 200
        answer = client.delete(f"{KEYS}/{made['id']}")
        assert answer.json() == {"id": made["id"], "object": "api_key", "deleted": True}
        refused = holder.get(DATASETS)
        assert code(refused) == (401, "unauthenticated")
        assert refused.headers["www-authenticate"].startswith("Bearer")
    assert code(client.delete(f"{KEYS}/{made['id']}")) == (404, "not_found")
    assert made["id"] not in [one["id"] for one in client.get(KEYS).json()["data"]]


def test_another_organisations_key_is_missing(
    client: httpx.Client, other_client: httpx.Client
) -> None:
    made = make(client)
    answers = []
    for name in (made["id"], "key_" + "0" * 26, "x"):
        for method in ("GET", "DELETE"):
            answer = other_client.request(method, f"{KEYS}/{name}")
            assert code(answer) == (404, "not_found")
            answers.append(answer.json() | {"request_id": ""})
    assert all(answer == answers[0] for answer in answers)
    assert client.get(f"{KEYS}/{made['id']}").status_code == 200


def test_only_an_operator_makes_keys_of_others(
    service: Service, client: httpx.Client, operator: httpx.Client
) -> None:
    body = {"name": "x", "scopes": ["admin"], "organization": "acme"}
    assert code(client.post(KEYS, json=body)) == (403, "forbidden")
    assert client.post(KEYS, json=body | {"organization": "default"}).status_code == 201
    made = operator.post(KEYS, json=body).json()
    assert made["organization_id"] == "acme"
    with service.client(made["key"]) as tenant:
        assert [one["id"] for one in tenant.get(KEYS).json()["data"]] == [made["id"]]


def test_nobody_gives_what_they_lack(client: httpx.Client, operator: httpx.Client) -> None:
    body = {"name": "x", "scopes": ["operator"]}
    assert code(client.post(KEYS, json=body)) == (403, "forbidden")
    assert operator.post(KEYS, json=body).status_code == 201


@pytest.mark.parametrize("scope", ["read", "write", "predict", "operator"])
def test_keys_need_the_scope_admin(service: Service, scope: str) -> None:
    with service.client(make_key(service.services.sessions, scopes=[scope])) as client:
        body = {"name": "x", "scopes": ["read"]}
        assert code(client.post(KEYS, json=body)) == (403, "forbidden")
        assert code(client.get(KEYS)) == (403, "forbidden")
        assert code(client.delete(f"{KEYS}/key_{'0' * 26}")) == (403, "forbidden")


@pytest.mark.parametrize(
    "fields",
    [
        {"scopes": []},
        {"scopes": ["everything"]},
        {"scopes": "read"},
        {"name": ""},
        {"name": "x" * 201},
        {"name": "a\u0007"},
        {"name": None},
        {"organization": "../x"},
        {"organization": "a:b"},
        {"colour": "blue"},
    ],
)
def test_bad_keys_are_refused(operator: httpx.Client, fields: dict[str, object]) -> None:
    answer = operator.post(KEYS, json={"name": "x", "scopes": ["read"]} | fields)
    assert code(answer) == (422, "invalid_request")


def test_keys_are_paged(client: httpx.Client) -> None:
    ids = [make(client)["id"] for _ in range(4)][::-1]
    first = client.get(KEYS, params={"limit": 2}).json()
    rest = client.get(KEYS, params={"limit": 2, "after": ids[1]}).json()
    assert [one["id"] for one in first["data"] + rest["data"]] == ids
    assert first["has_more"]
    assert code(client.get(KEYS, params={"after": "x"})) == (422, "invalid_request")
