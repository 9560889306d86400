"""Keys that expire, are replaced, and say when they were used."""

from __future__ import annotations

import time

import httpx

from app.infra.database import transaction
from app.infra.orm import ApiKeyRow
from tests.api.service import Service
from tests.api.test_api_keys import KEYS, make
from tests.api.uploading import DATASETS, code
from tests.factories import make_key


def test_an_expired_key_opens_nothing(service: Service, client: httpx.Client) -> None:
    key = make(client, expires_at=int(time.time()) + 600)
    with service.client(key["key"]) as holder:
        assert holder.get(DATASETS).status_code == 200
        with transaction(service.services.sessions) as session:
            session.get_one(ApiKeyRow, key["id"]).expires_at = time.time() - 1
        service.services.keyring.forget()
        assert code(holder.get(DATASETS)) == (401, "unauthenticated")


def test_a_key_cannot_be_made_that_has_expired(client: httpx.Client) -> None:
    new = {"name": "ci", "scopes": ["read"], "expires_at": 1}
    assert code(client.post(KEYS, json=new)) == (422, "invalid_value")


def test_a_replaced_key_goes_on_for_the_overlap_alone(
    service: Service, client: httpx.Client
) -> None:
    key = make(client)
    answer = client.post(f"{KEYS}/{key['id']}/rotate", json={"overlap_seconds": 600})
    assert answer.status_code == 201, answer.text
    second = answer.json()
    assert (second["name"], second["scopes"]) == (key["name"], key["scopes"])
    for secret in (key["key"], second["key"]):
        with service.client(secret) as holder:
            assert holder.get(DATASETS).status_code == 200
    assert client.get(f"{KEYS}/{key['id']}").json()["expires_at"] > time.time() + 500
    third = client.post(f"{KEYS}/{second['id']}/rotate", json={}).json()
    with service.client(second["key"]) as holder:
        assert code(holder.get(DATASETS)) == (401, "unauthenticated")
    with service.client(third["key"]) as holder:
        assert holder.get(DATASETS).status_code == 200


def test_a_lost_answer_is_asked_for_again(service: Service, client: httpx.Client) -> None:
    key = make(client, expires_at=int(time.time()) + 86_400)
    url = f"{KEYS}/{key['id']}/rotate"
    lost, second = (client.post(url, json={"overlap_seconds": 3}).json() for _ in range(2))
    assert second["expires_at"] > time.time() + 86_000, "its life is not the overlap"
    with service.client(lost["key"]) as nobody, service.client(second["key"]) as holder:
        assert nobody.get(DATASETS).status_code == 401
        assert holder.get(DATASETS).status_code == 200
    told = client.post(url, json={"overlap_seconds": 3})
    assert code(told) == (409, "in_use")
    assert second["id"] in told.json()["detail"]


def test_an_admin_replaces_no_operator_s_key_and_no_stranger_s(
    service: Service, client: httpx.Client
) -> None:
    sessions = service.services.sessions
    with service.client(make_key(sessions, scopes=["admin", "operator"])) as operator:
        mine = operator.get("/v1/me").json()["id"]
        assert code(client.post(f"{KEYS}/{mine}/rotate", json={})) == (403, "forbidden")
        with service.client(make_key(sessions, "other")) as stranger:
            theirs = stranger.get("/v1/me").json()["id"]
        assert code(client.post(f"{KEYS}/{theirs}/rotate", json={})) == (404, "not_found")


def test_a_key_tells_when_it_was_used(service: Service, client: httpx.Client) -> None:
    key = make(client)
    assert client.get(f"{KEYS}/{key['id']}").json()["last_used_at"] is None
    with service.client(key["key"]) as holder:
        holder.get(DATASETS).raise_for_status()
    service.services.keyring.note_used()
    assert client.get(f"{KEYS}/{key['id']}").json()["last_used_at"] > time.time() - 60
