"""Batch predictions without a trainer: what waits, and what is refused."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from app.infra.database import transaction
from app.infra.orm import JobRow, ModelRow, WorkRow
from tests.api.batches.batching import BACKBONE, BATCHES, NOBODYS, send
from tests.api.service import Service
from tests.api.uploading import code, finish, leftovers, made, works
from tests.archives import folders, png, zipped
from tests.factories import add_model, make_key

pytestmark = pytest.mark.slow


@pytest.fixture
def known(service: Service, client: httpx.Client) -> dict[str, str]:
    """A ready dataset, and a model that nobody loads."""
    dataset = made(client)["id"]
    finish(service, dataset)
    body = {"model": BACKBONE, "training_file": dataset}
    job = client.post("/v1/fine_tuning/jobs", json=body).json()["id"]
    with transaction(service.services.sessions) as session:
        row = session.get_one(JobRow, job)
        folder = service.settings.data_dir
        model = add_model(session, row, service.services.storage, folder).id
    return {"dataset": dataset, "model": model}


def test_what_is_asked_for_must_be_there(client: httpx.Client, known: dict[str, str]) -> None:
    nothing = {"model": "ft:x:y::01ke4bz3r0h5d8g2j4n6p9s1v3", "dataset": "ds_" + "0" * 26}
    for name in ("model", "dataset"):
        answer = client.post(BATCHES, json=known | {name: nothing[name]})
        assert code(answer) == (404, "not_found")
        assert answer.json()["param"] == name
    assert code(client.post(BATCHES, json=known | {"version": 9})) == (404, "not_found")
    assert code(send(client, zipped({"1.png": png(1)}), model="nobody")) == (404, "not_found")
    for path in ("", "/cancel", "/results"):
        call = client.post if path == "/cancel" else client.get
        assert code(call(f"{BATCHES}/{NOBODYS}{path}")) == (404, "not_found")


def test_several_labels_are_not_smoothed(
    service: Service, client: httpx.Client, known: dict[str, str]
) -> None:
    with transaction(service.services.sessions) as session:
        session.get_one(ModelRow, known["model"]).label_mode = "multi_label"
    answer = client.post(BATCHES, json=known | {"use_unlabelled": True})
    assert code(answer) == (422, "invalid_request")
    assert answer.json()["param"] == "use_unlabelled"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"top_k": 0}, "top_k"),
        ({"unknown": 2}, "unknown"),
        ({"version": 0}, "version"),
        ({"extra": 1}, "extra"),
        ({"model": "a/b"}, "model"),
        ({"use_unlabelled": "perhaps"}, "use_unlabelled"),
        ({"dataset": None}, "dataset"),
    ],
)
def test_a_document_must_fit(
    client: httpx.Client, known: dict[str, str], change: dict[str, Any], param: str
) -> None:
    answer = client.post(BATCHES, json=known | change)
    assert code(answer) == (422, "invalid_request")
    assert answer.json()["param"] == param


@pytest.mark.parametrize(
    ("content", "status", "name"),
    [
        (b"{", 422, "invalid_json"),
        (b'{"model": NaN}', 422, "invalid_json"),
        (b'{"model": "a\\u0000"}', 422, "invalid_json"),
        (b"[" * 10_000, 422, "invalid_json"),
        (b"[]", 422, "invalid_request"),
        (b" " * 100_000, 413, "payload_too_large"),
    ],
)
def test_json_is_strict_and_short(
    client: httpx.Client, content: bytes, status: int, name: str
) -> None:
    answer = client.post(BATCHES, content=content, headers={"content-type": "application/json"})
    assert code(answer) == (status, name)


def test_uploads_are_refused_like_datasets(
    service: Service, client: httpx.Client, known: dict[str, str]
) -> None:
    before = leftovers(service)
    model = known["model"]
    assert code(send(client, b"", model=model)) == (422, "empty_dataset")
    assert code(send(client, b"hello", model=model)) == (422, "not_an_archive")
    assert code(send(client, zipped({"../1.png": png(1)}), model=model)) == (422, "unsafe_path")
    assert code(send(client, zipped({"1.png": png(1)}))) == (422, "invalid_request")
    assert code(send(client, zipped({"1.txt": b"hi"}), model=model)) == (422, "modality_mismatch")
    text = {"content-type": "text/plain"}
    assert code(client.post(BATCHES, content=b"x", headers=text)) == (415, "unsupported_media_type")
    assert leftovers(service) == before


def test_a_batch_waits_is_cancelled_once_and_deleted(
    service: Service, client: httpx.Client, known: dict[str, str]
) -> None:
    answer = client.post(BATCHES, json=known)
    assert answer.status_code == 202
    batch = answer.json()
    path = f"{BATCHES}/{batch['id']}"
    assert (batch["status"], batch["results"]) == ("queued", None)
    assert code(client.get(f"{path}/results")) == (409, "not_ready")
    assert code(client.delete(path)) == (409, "in_use")
    assert code(client.delete(f"/v1/datasets/{known['dataset']}")) == (409, "in_use")
    assert code(client.delete(f"/v1/models/{known['model']}")) == (409, "in_use")
    assert client.post(f"{path}/cancel").json()["status"] == "cancelled"
    again = client.post(f"{path}/cancel")
    assert code(again) == (409, "invalid_transition")
    assert again.json()["detail"] == "a batch that is cancelled cannot become cancelled"
    assert [work.state for work in works(service) if work.batch_id == batch["id"]] == ["cancelled"]
    assert client.get(f"{path}/results").content == b""
    assert client.get(f"{path}/results?format=csv").text.startswith("index,id,path,label")
    assert client.delete(path).status_code == 200
    assert client.delete(f"/v1/models/{known['model']}").status_code == 200


def test_a_repeated_cancel_is_no_conflict(client: httpx.Client, known: dict[str, str]) -> None:
    path = f"{BATCHES}/{client.post(BATCHES, json=known).json()['id']}/cancel"
    for replayed in (None, "true"):
        answer = client.post(path, headers={"idempotency-key": "stop"})
        assert answer.json()["status"] == "cancelled"
        assert answer.headers.get("idempotent-replayed") == replayed


def test_a_failed_dataset_fails_what_waits_for_it(
    service: Service, client: httpx.Client, known: dict[str, str]
) -> None:
    dataset = made(client, zipped(folders({"x": 2, "y": 2})))["id"]
    batch = client.post(BATCHES, json=known | {"dataset": dataset}).json()
    assert batch["status"] == "validating_files"
    finish(service, dataset, status="failed")
    found = client.get(f"{BATCHES}/{batch['id']}", headers={"prefer": "wait=5"}).json()
    assert (found["status"], found["error"]["code"]) == ("failed", "dataset_failed")
    later = client.post(BATCHES, json=known | {"dataset": dataset})
    assert code(later) == (422, "dataset_failed")


AWAY = {"code": "storage_unavailable", "message": "it is away"}
PUT_OFF = {"error": AWAY | {"times": 3}}


def test_a_batch_says_what_it_waits_for(
    service: Service, client: httpx.Client, known: dict[str, str]
) -> None:
    dataset = made(client, zipped(folders({"x": 2, "y": 2})))["id"]
    first, second = (
        client.post(BATCHES, json=known | {"dataset": one}).json()["id"]
        for one in (dataset, known["dataset"])
    )

    def told() -> dict[str, Any]:
        found = {one["id"]: one["waits_for"] for one in client.get(BATCHES).json()["data"]}
        for one in (first, second):
            assert client.get(f"{BATCHES}/{one}").json()["waits_for"] == found[one]
        return {"first": found[first], "second": found[second]}

    def put_off(*which: Any, until: float = time.time() + 600) -> None:
        with transaction(service.services.sessions) as session:
            session.execute(update(WorkRow).where(*which).values(PUT_OFF | {"not_before": until}))

    assert told() == {"first": None, "second": None}
    put_off(WorkRow.kind == "embed")
    assert told() == {"first": AWAY, "second": None}
    put_off(WorkRow.batch_id == second)
    assert told() == {"first": AWAY, "second": AWAY}
    put_off(WorkRow.batch_id == second, until=time.time() - 5)
    assert told() == {"first": AWAY, "second": None}
    put_off(WorkRow.kind == "embed", until=time.time() - 5)
    assert told() == {"first": None, "second": None}
    put_off(WorkRow.kind == "embed")
    client.post(f"{BATCHES}/{second}/cancel")
    finish(service, dataset)
    assert told() == {"first": None, "second": None}


def test_a_batch_of_requests_says_what_it_waits_for(service: Service, client: httpx.Client) -> None:
    data = {"purpose": "batch"}
    file = client.post("/v1/files", files={"file": ("r.jsonl", b"{}\n")}, data=data).json()["id"]
    wanted = {"input_file_id": file, "endpoint": "/v1/embeddings", "completion_window": "24h"}
    one, other = (client.post("/v1/batches", json=wanted).json()["id"] for _ in range(2))
    with transaction(service.services.sessions) as session:
        mine = WorkRow.payload["batch"].as_string() == one
        put_off = update(WorkRow).where(mine)
        session.execute(put_off.values(PUT_OFF | {"not_before": time.time() + 600}))
    listed = {row["id"]: row["waits_for"] for row in client.get("/v1/batches").json()["data"]}
    assert listed == {one: AWAY, other: None}
    assert client.get(f"/v1/batches/{one}").json()["waits_for"] == AWAY
    with transaction(service.services.sessions) as session:
        session.execute(put_off.values(not_before=time.time() - 5))
    assert client.get(f"/v1/batches/{one}").json()["waits_for"] is None


def test_a_ready_dataset_lets_its_batches_go_on(
    service: Service, client: httpx.Client, known: dict[str, str]
) -> None:
    dataset = made(client, zipped(folders({"x": 2, "y": 2})))["id"]
    batch = client.post(BATCHES, json=known | {"dataset": dataset}).json()["id"]
    finish(service, dataset)
    assert client.get(f"{BATCHES}/{batch}").json()["status"] == "queued"


def test_a_job_without_a_model_is_not_ready(client: httpx.Client, known: dict[str, str]) -> None:
    body = {"model": BACKBONE, "training_file": known["dataset"]}
    job = client.post("/v1/fine_tuning/jobs", json=body).json()["id"]
    assert code(client.post(BATCHES, json=known | {"model": job})) == (409, "not_ready")


def test_strangers_see_nothing(
    client: httpx.Client, other_client: httpx.Client, known: dict[str, str]
) -> None:
    batch = client.post(BATCHES, json=known).json()["id"]
    for path in ("", "/results", "/cancel"):
        call = other_client.post if path == "/cancel" else other_client.get
        theirs, nobodys = (call(f"{BATCHES}/{one}{path}").json() for one in (batch, NOBODYS))
        assert theirs | {"request_id": ""} == nobodys | {"request_id": ""}
        assert theirs["status"] == 404
    assert code(other_client.delete(f"{BATCHES}/{batch}")) == (404, "not_found")
    assert code(other_client.post(BATCHES, json=known)) == (404, "not_found")
    assert other_client.get(BATCHES).json()["data"] == []


def test_scopes(service: Service, known: dict[str, str]) -> None:
    sessions = service.services.sessions
    allowed = {
        ("read", "write", "predict"): (202, 200),
        ("write", "predict"): (202, 403),
        ("read", "write"): (403, 200),
        ("predict",): (403, 403),
        ("read", "predict"): (403, 200),
    }
    for scopes, (posting, listing) in allowed.items():
        with service.client(make_key(sessions, scopes=scopes)) as some:
            assert some.post(BATCHES, json=known).status_code == posting, scopes
            assert some.get(BATCHES).status_code == listing, scopes
