"""The audit log over HTTP: who did what, in their own organisation, and nobody changes it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import text

from app.infra.database import reading, transaction
from app.infra.repositories import audit
from tests.api.service import Service
from tests.api.test_api_keys import make
from tests.api.uploading import DATASETS, code, made
from tests.factories import make_key

pytestmark = pytest.mark.slow

LOG = "/v1/audit-log"


@pytest.fixture
def stranger(service: Service) -> Iterator[httpx.Client]:
    with service.client(make_key(service.services.sessions, "other")) as client:
        yield client


def deeds(client: httpx.Client, **query: str) -> list[tuple[str, str | None]]:
    answer = client.get(LOG, params=query)
    assert answer.status_code == 200, answer.text
    return [(one["action"], one["object_id"]) for one in answer.json()["data"]]


def test_what_changes_something_is_told_with_who_and_what(client: httpx.Client) -> None:
    dataset = made(client)["id"]
    key = make(client)
    client.get(f"/v1/files/{dataset}/content").raise_for_status()
    client.get(DATASETS).raise_for_status()
    assert client.delete(f"{DATASETS}/nothing").status_code == 404
    gone = client.delete(f"{DATASETS}/{dataset}")
    assert deeds(client) == [
        ("delete_dataset", dataset),
        ("get_file_content", dataset),
        ("create_api_key", key["id"]),
        ("create_dataset", dataset),
    ]
    newest = client.get(LOG, params={"limit": "1"}).json()["data"][0]
    assert newest["request_id"] == gone.headers["x-request-id"]
    assert newest["key_id"] == client.get("/v1/me").json()["id"]
    assert (newest["address"], newest["status"]) == ("127.0.0.1", 200)
    assert deeds(client, action="delete_dataset") == [("delete_dataset", dataset)]
    assert len(deeds(client, object_id=dataset)) == 3


def test_pages_hold_each_entry_once(client: httpx.Client) -> None:
    names = [make(client)["id"] for _ in range(5)]
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = client.get(LOG, params={"limit": "2", **after}).json()
        seen += [one["object_id"] for one in page["data"]]
        if not page["has_more"]:
            break
        after = {"after": page["data"][-1]["id"]}
    assert seen == names[::-1]


def test_only_admins_read_their_own_and_operators_any(
    service: Service, client: httpx.Client, stranger: httpx.Client
) -> None:
    make(client)
    assert deeds(stranger) == []
    refused = stranger.get(LOG, params={"organization": "default"})
    assert code(refused) == (403, "forbidden")
    foreign = client.get(LOG).json()["data"][0]["id"]
    assert deeds(stranger, after=foreign) == []
    sessions = service.services.sessions
    with service.client(make_key(sessions, scopes=["read", "write"])) as writer:
        assert code(writer.get(LOG)) == (403, "forbidden")
    with service.client(make_key(sessions, "ops", scopes=["admin", "operator"])) as operator:
        assert len(deeds(operator, organization="default")) == 1


def test_an_entry_that_cannot_be_written_is_written_later_and_fails_nothing(
    service: Service, client: httpx.Client
) -> None:
    def rename(before: str, after: str) -> None:
        with transaction(service.services.sessions) as session:
            session.execute(text(f"ALTER TABLE {before} RENAME TO {after}"))

    new = {"name": "late", "scopes": ["read"]}
    rename("audit_log", "audit_log_away")
    try:
        made = client.post("/v1/api_keys", json=new)
    finally:
        rename("audit_log_away", "audit_log")
    assert made.status_code == 201, made.text
    service.services.unwritten_deeds.flush(service.services.sessions)
    service.services.unwritten_deeds.flush(service.services.sessions)
    listed = client.get("/v1/audit-log", params={"object_id": made.json()["id"]}).json()["data"]
    assert [one["action"] for one in listed] == ["create_api_key"]
    assert abs(listed[0]["created_at"] - made.json()["created_at"]) <= 2


def test_nothing_changes_an_entry(client: httpx.Client) -> None:
    make(client)
    entry = client.get(LOG).json()["data"][0]["id"]
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert client.request(method, LOG).status_code == 405
        assert client.request(method, f"{LOG}/{entry}").status_code == 404
    assert len(deeds(client)) == 1


def test_old_entries_go_and_none_where_all_are_kept(service: Service, client: httpx.Client) -> None:
    make(client)
    sessions = service.services.sessions
    with transaction(sessions) as session:
        session.scalars(audit.newest("default")).one().created_at -= 10 * 86_400
    for days, left in ((0, 1), (11, 1), (9, 0)):
        with transaction(sessions) as session:
            audit.prune(session, days=days, limit=10)
        with reading(sessions) as session:
            assert len(session.scalars(audit.newest("default")).all()) == left
