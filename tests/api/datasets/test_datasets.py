"""Datasets over HTTP: what an upload becomes, who sees it, and how it goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update

from app.datasets.removal import remove_expired
from app.infra.database import reading, transaction
from app.infra.orm import DatasetRow, EmbeddingRow, JobRow, SegmentRow
from app.infra.repositories import embeddings
from app.infra.settings import Settings
from tests.api.service import Service, serve
from tests.api.uploading import (
    DATASETS,
    appended,
    code,
    examples,
    finish,
    leftovers,
    made,
    rows,
    send,
    small,
    works,
)
from tests.archives import folders, png, tarred, zipped
from tests.factories import make_key

pytestmark = pytest.mark.slow


def test_an_upload_becomes_a_processing_dataset(client: httpx.Client) -> None:
    answer = send(client, name="castings")
    dataset = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{DATASETS}/{dataset['id']}"
    assert dataset["id"].startswith("ds_")
    assert (dataset["object"], dataset["name"]) == ("dataset", "castings")
    assert (dataset["modality"], dataset["status"], dataset["version"]) == (
        "image",
        "processing",
        1,
    )
    assert dataset["num_examples"] == 6
    assert dataset["classes"] == [{"label": "a", "count": 3}, {"label": "b", "count": 3}]
    assert dataset["problems"] == []
    assert client.get(f"{DATASETS}/{dataset['id']}").json() == dataset


def test_the_name_of_the_file_names_the_dataset(client: httpx.Client) -> None:
    assert made(client, filename="steel defects.zip")["name"] == "steel defects"


def test_embedding_is_queued_in_equal_chunks(empty_database: Path, tmp_path: Path) -> None:
    (tmp_path / "headstart.db").write_bytes(empty_database.read_bytes())
    with serve(Settings(data_dir=tmp_path, embed_chunk=4)) as service:
        with service.client(make_key(service.services.sessions)) as client:
            made(client, zipped(folders({"a": 5, "b": 5})))
        queued = sorted(works(service), key=lambda work: work.payload["start"])
    found = [(work.kind, work.priority, work.backbone, work.payload) for work in queued]
    spans = [(0, 3), (3, 6), (6, 10)]
    assert found == [
        ("embed", 0, "efficientnet_lite0", {"view": "squish", "start": start, "stop": stop})
        for start, stop in spans
    ]


def test_texts_are_embedded_by_a_text_backbone(service: Service, client: httpx.Client) -> None:
    dataset = made(client, b"text,label\nhello,a\nbye,b\n", filename="set.csv")
    assert (dataset["modality"], dataset["backbone"]) == ("text", "all-MiniLM-L6-v2")
    assert [work.payload["view"] for work in works(service)] == ["text"]


def test_the_form_chooses_backbone_and_splits(
    client: httpx.Client, supply: Callable[[str], None]
) -> None:
    data = zipped(folders({"a": 10, "b": 10}))
    asked = {"files": {"file": ("set.zip", data)}, "data": {"backbone": "mobilenet_v2"}}
    refused = client.post("/v1/datasets", **asked)
    told = refused.json()
    assert (refused.status_code, told["code"], told["param"]) == (
        503, "backbone_unavailable", "backbone",
    )  # fmt: skip
    supply("mobilenet_v2")
    fields = {"test_fraction": "0.2", "val_fraction": "0.1", "seed": "5"}
    first = made(client, data, backbone="mobilenet_v2", **fields)
    second = made(client, data, **fields)
    assert first["backbone"] == "mobilenet_v2"
    splits = [[one["split"] for one in examples(client, each["id"])] for each in (first, second)]
    assert splits[0] == splits[1]
    assert {split: splits[0].count(split) for split in set(splits[0])} == {
        "train": 14,
        "val": 2,
        "test": 4,
    }


def test_a_raw_body_is_an_upload_too(client: httpx.Client) -> None:
    answer = client.post(
        f"{DATASETS}?filename=set.tar&name=raw",
        content=tarred(folders({"a": 2, "b": 2})),
        headers={"content-type": "application/x-tar"},
    )
    assert answer.status_code == 201, answer.text
    assert (answer.json()["name"], answer.json()["num_examples"]) == ("raw", 4)


def test_problems_are_listed_by_name(client: httpx.Client) -> None:
    twice = png(1)
    members = {"a/1.png": twice, "b/1.png": twice, "a/2.png": png(2), "b/2.png": png(3)}
    copies = {"c/3.png": png(4), "c/4.png": png(4)}
    dataset = made(client, zipped(members | copies))
    found = [
        (problem["code"], problem["path"], problem["excluded"]) for problem in dataset["problems"]
    ]
    assert sorted(found) == [
        ("duplicate_example", "c/4.png", False),
        ("label_conflict", "a/1.png", True),
        ("label_conflict", "b/1.png", True),
    ]
    assert dataset["num_examples"] == 4
    listed = {one["path"]: one["excluded"] for one in examples(client, dataset["id"])}
    assert listed["a/1.png"]
    assert not listed["c/4.png"]


@pytest.mark.parametrize(
    ("fields", "expected", "param"),
    [
        ({"modality": "sound"}, "invalid_request", "modality"),
        ({"backbone": "resnet9000"}, "unknown_backbone", "backbone"),
        ({"backbone": "all-MiniLM-L6-v2"}, "modality_mismatch", None),
        ({"test_fraction": "1"}, "invalid_request", "test_fraction"),
        ({"test_fraction": "nan"}, "invalid_request", "test_fraction"),
        ({"test_fraction": "0.6", "val_fraction": "0.4"}, "invalid_request", None),
        ({"seed": "9223372036854775808"}, "invalid_request", "seed"),
        ({"name": "x" * 201}, "invalid_request", "name"),
        ({"name": "a\u202eb"}, "invalid_request", "name"),
        ({"purpose": "batch"}, "invalid_request", "purpose"),
    ],
)
def test_bad_fields_are_refused_and_nothing_is_kept(
    service: Service, client: httpx.Client, fields: dict[str, str], expected: str, param: str | None
) -> None:
    answer = send(client, **fields)
    assert code(answer) == (422, expected)
    if param:
        assert answer.json()["param"] == param
    assert (rows(service), leftovers(service)) == (0, [])


@pytest.mark.parametrize("name", ["colour", "test_fracton", "expires_after"])
def test_unknown_fields_are_refused_by_name(client: httpx.Client, name: str) -> None:
    raw = {"content": b"text,label\na,b\n", "headers": {"content-type": "text/csv"}}
    for answer in (
        send(client, **{name: "1"}),
        client.post(f"{DATASETS}?{name}=1", files={"file": ("a.zip", b"")}),
        client.post(f"{DATASETS}?{name}=1", **raw),
    ):
        assert (answer.status_code, answer.json()["param"]) == (422, name)


def test_an_upload_is_deleted_once_its_time_is_over(service: Service, client: httpx.Client) -> None:
    fields = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    dataset = made(client, **fields)
    assert dataset["expires_at"] == pytest.approx(dataset["created_at"] + 3600, abs=1)
    finish(service, dataset["id"])
    assert remove_expired(service.services) == 0
    with transaction(service.services.sessions) as session:
        session.execute(update(DatasetRow).values(expires_at=1.0))
    assert remove_expired(service.services) == 1
    assert client.get(f"{DATASETS}/{dataset['id']}").status_code == 404


def test_waiting_ends_when_the_version_is_ready(service: Service, client: httpx.Client) -> None:
    def settle_later() -> None:
        while not rows(service):
            time.sleep(0.01)
        time.sleep(0.1)
        with service.client(make_key(service.services.sessions)) as other:
            finish(service, other.get(DATASETS).json()["data"][0]["id"])

    thread = threading.Thread(target=settle_later)
    thread.start()
    begun = time.monotonic()
    answer = send(client, headers={"prefer": "wait=20"})
    thread.join()
    assert (answer.status_code, answer.json()["status"]) == (201, "ready")
    assert answer.headers["preference-applied"] == "wait=20"
    assert time.monotonic() - begun < 10


def test_waiting_on_a_dataset_that_stays_processing_ends_in_time(client: httpx.Client) -> None:
    dataset = made(client)
    begun = time.monotonic()
    answer = client.get(f"{DATASETS}/{dataset['id']}", headers={"prefer": "wait=1"})
    assert answer.json()["status"] == "processing"
    assert 0.9 < time.monotonic() - begun < 5


def test_a_failed_version_says_why(service: Service, client: httpx.Client) -> None:
    dataset = made(client)
    finish(service, dataset["id"], "failed")
    found = client.get(f"{DATASETS}/{dataset['id']}").json()
    assert found["status"] == "failed"
    assert found["error"]["code"] == "empty_dataset"


def test_lists_are_paged_both_ways(client: httpx.Client) -> None:
    ids = [made(client, name=f"set {number}")["id"] for number in range(5)]
    assert [one["id"] for one in client.get(DATASETS).json()["data"]] == ids[::-1]
    walked, after = [], None
    while True:
        query = {"limit": 2, "order": "asc"} | ({"after": after} if after else {})
        page = client.get(DATASETS, params=query).json()
        walked += [one["id"] for one in page["data"]]
        after = walked[-1]
        if not page["has_more"]:
            break
    assert walked == ids
    assert "problems" not in client.get(DATASETS).json()["data"][0]


@pytest.mark.parametrize(
    "query", [{"limit": "-1"}, {"limit": "0"}, {"limit": "101"}, {"after": "nonsense"},
              {"after": "ds_\0"}, {"order": "sideways"}]
)  # fmt: skip
def test_bad_cursors_and_limits_are_refused(client: httpx.Client, query: dict[str, str]) -> None:
    assert code(client.get(DATASETS, params=query)) == (422, "invalid_request")


def test_versions_are_listed_newest_first_and_stay(client: httpx.Client) -> None:
    dataset = made(client)["id"]
    appended(client, dataset, {"a/new.png": png(501)})
    last = appended(client, dataset, {"b/new.png": png(502)})
    assert last["version"] == 3
    assert last["num_examples"] == 8
    listed = client.get(f"{DATASETS}/{dataset}/versions", params={"limit": 2}).json()
    assert [one["version"] for one in listed["data"]] == [3, 2]
    assert listed["has_more"]
    rest = client.get(
        f"{DATASETS}/{dataset}/versions", params={"after": listed["data"][-1]["id"]}
    ).json()
    assert [one["version"] for one in rest["data"]] == [1]
    first = client.get(f"{DATASETS}/{dataset}/versions/1").json()
    assert (first["object"], first["num_examples"]) == ("dataset.version", 6)
    assert code(client.get(f"{DATASETS}/{dataset}/versions/4")) == (404, "not_found")
    assert code(client.get(f"{DATASETS}/{dataset}/versions/99999999999")) == (404, "not_found")


def test_another_organisation_sees_nothing(
    client: httpx.Client, other_client: httpx.Client
) -> None:
    dataset = made(client)["id"]
    example = examples(client, dataset)[0]["id"]
    never = "ds_" + "0" * 26
    paths = ["", "/versions", "/versions/1", "/examples", f"/examples/{example}",
             f"/examples/{example}/content"]  # fmt: skip
    calls = [("GET", path, {}) for path in paths] + [
        ("DELETE", "", {}),
        ("DELETE", f"/examples/{example}", {}),
        ("PATCH", f"/examples/{example}", {"json": {"label": "b"}}),
        ("POST", "/examples", {"files": {"file": ("set.zip", small())}}),
    ]
    for method, path, body in calls:
        foreign = other_client.request(method, f"{DATASETS}/{dataset}{path}", **body)
        missing = other_client.request(method, f"{DATASETS}/{never}{path}", **body)
        assert code(foreign) == (404, "not_found"), path
        told = [answer.json() | {"request_id": ""} for answer in (foreign, missing)]
        assert told[0] == told[1]
    assert other_client.get(DATASETS).json()["data"] == []
    assert other_client.get("/v1/files").json()["data"] == []
    assert client.get(f"{DATASETS}/{dataset}").status_code == 200


@pytest.mark.parametrize(("scope", "expected"), [("read", 403), ("predict", 403), ("write", 201)])
def test_uploading_needs_the_scope_to_write(service: Service, scope: str, expected: int) -> None:
    with service.client(make_key(service.services.sessions, scopes=[scope])) as client:
        assert send(client).status_code == expected
        assert client.get(DATASETS).status_code == (200 if scope == "read" else 403)


def test_deleting_leaves_nothing(service: Service, client: httpx.Client) -> None:
    dataset = made(client)["id"]
    appended(client, dataset, {"a/new.png": png(500)})
    answer = client.delete(f"{DATASETS}/{dataset}")
    told = answer.json()
    assert told.pop("deletion")["status"] in ("pending", "done")
    assert told == {"id": dataset, "object": "dataset", "deleted": True}
    assert code(client.get(f"{DATASETS}/{dataset}")) == (404, "not_found")
    assert code(client.delete(f"{DATASETS}/{dataset}")) == (404, "not_found")
    assert (rows(service), works(service), leftovers(service)) == (0, [], [])


def test_deleted_names_are_gone_from_the_database_s_files(
    service: Service, client: httpx.Client
) -> None:
    """Of a service that is idle afterwards: nothing that follows overwrites them."""
    canary = "zqxcanary" * 4
    dataset = made(client, zipped(folders({f"{canary}1": 3, f"{canary}2": 3})), name=canary)["id"]
    files = list(service.settings.data_dir.glob("*.db*"))
    assert any(canary.encode() in path.read_bytes() for path in files)
    assert client.delete(f"{DATASETS}/{dataset}").json()["deletion"]["status"] == "done"
    assert not [path.name for path in files if canary.encode() in path.read_bytes()]


def test_deleting_keeps_what_another_dataset_holds(service: Service, client: httpx.Client) -> None:
    first, second = made(client)["id"], made(client)["id"]
    before = leftovers(service)
    client.delete(f"{DATASETS}/{first}")
    assert len(leftovers(service)) == len(before) / 2
    example = examples(client, second)[0]["id"]
    assert client.get(f"{DATASETS}/{second}/examples/{example}/content").status_code == 200


def test_deleting_is_refused_while_a_job_needs_the_dataset(
    service: Service, client: httpx.Client
) -> None:
    dataset, validation = made(client)["id"], made(client)["id"]
    asked = {
        "model": "efficientnet_lite0",
        "training_file": dataset,
        "validation_file": validation,
    }
    job = client.post("/v1/fine_tuning/jobs", json=asked).json()["id"]
    for used in (dataset, validation):
        answer = client.delete(f"{DATASETS}/{used}")
        assert code(answer) == (409, "in_use")
        assert answer.headers["x-should-retry"] == "false"
        assert client.delete(f"/v1/files/{used}").status_code == 409
    client.post(f"/v1/fine_tuning/jobs/{job}/cancel")
    assert client.delete(f"{DATASETS}/{dataset}").status_code == 200
    with reading(service.services.sessions) as session:
        assert session.get_one(JobRow, job).dataset_id == dataset


def _embed(service: Service, organisation: str, sha256s: list[str], segment: str) -> None:
    file = service.settings.data_dir / "segment"
    file.write_bytes(b"rows")
    service.services.storage.put(f"embeddings/{organisation}/k/{segment}.npy", file)
    with transaction(service.services.sessions) as session:
        embeddings.add_segment(
            session, segment, organisation_id=organisation, key="k", sha256s=sha256s, size=4
        )


def test_deleting_forgets_embeddings_that_nothing_else_needs(
    service: Service, client: httpx.Client
) -> None:
    kept = made(client, zipped({"a/1.png": png(1), "b/2.png": png(2)}))["id"]
    gone = made(client, zipped({"a/2.png": png(2), "b/3.png": png(3), "b/4.png": png(4)}))["id"]
    shas = {one["path"]: one["sha256"] for one in examples(client, gone)}
    _embed(service, "default", [shas["a/2.png"], shas["b/3.png"]], "seg_shared")
    _embed(service, "default", [shas["b/4.png"]], "seg_alone")
    _embed(service, "other", [shas["b/3.png"]], "seg_other")
    assert client.delete(f"{DATASETS}/{gone}").status_code == 200
    with reading(service.services.sessions) as session:
        left = session.execute(select(EmbeddingRow.organisation_id, EmbeddingRow.sha256)).all()
        segments = set(session.scalars(select(SegmentRow.id)))
    assert sorted(left) == [("default", shas["a/2.png"]), ("other", shas["b/3.png"])]
    assert segments == {"seg_shared", "seg_other"}
    files = [name for name in leftovers(service) if "embeddings" in name]
    assert [name.rpartition("/")[2] for name in files] == ["seg_shared.npy", "seg_other.npy"]
    assert client.get(f"{DATASETS}/{kept}").status_code == 200
