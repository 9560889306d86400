"""Batch predictions over HTTP, around a real trainer whose tensor process is the light one."""

from __future__ import annotations

import csv
import io
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.infra.settings import Settings
from tests.api.batches.batching import BACKBONE, BATCHES, WAIT, send
from tests.api.service import Service, serve
from tests.api.uploading import code, idle, leftovers, made, works
from tests.archives import folders, png, zipped
from tests.factories import make_key, migrated
from worker.trainer.context import open_context
from worker.trainer.idle.sweeper import Sweeper
from worker.trainer.loop import Trainer

pytestmark = pytest.mark.slow


@contextmanager
def trainer(settings: Settings) -> Iterator[None]:
    """A trainer in a thread of this process."""
    context = open_context(settings, child="tests.light_child")
    thread = threading.Thread(target=Trainer(context).run)
    thread.start()
    try:
        yield
    finally:
        context.stop.request()
        context.bell.ring()
        thread.join(60)


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a trainer; chunks of four inputs."""
    folder = tmp_path_factory.mktemp("working")
    migrated(folder)
    settings = Settings(data_dir=folder, batch_chunk=4, poll_seconds=0.2)
    with serve(settings) as running, trainer(settings):
        yield running


@pytest.fixture(scope="module")
def caller(working: Service) -> Iterator[httpx.Client]:
    with working.client(make_key(working.services.sessions)) as client:
        yield client


@pytest.fixture(scope="module")
def trained(caller: httpx.Client) -> dict[str, str]:
    """A dataset of six pictures, and a model made of it."""
    dataset = made(caller, headers=WAIT)["id"]
    body = {"model": BACKBONE, "training_file": dataset}
    job = caller.post("/v1/fine_tuning/jobs", json=body, headers=WAIT).json()
    assert job["status"] == "succeeded", job
    return {"dataset": dataset, "model": job["fine_tuned_model"], "job": job["id"]}


def start(client: httpx.Client, **body: Any) -> dict[str, Any]:
    """A batch over a dataset, as it is once it has ended."""
    answer = client.post(BATCHES, json=body, headers=WAIT)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def lines(client: httpx.Client, batch: str) -> list[dict[str, Any]]:
    answer = client.get(f"{BATCHES}/{batch}/results")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/jsonl"
    assert int(answer.headers["content-length"]) == len(answer.content)
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_dataset_is_predicted_and_judged(caller: httpx.Client, trained: dict[str, str]) -> None:
    batch = start(caller, model=trained["model"], dataset=trained["dataset"])
    assert batch["status"] == "succeeded"
    assert batch["model"] == trained["model"]
    assert batch["dataset"] == {"id": trained["dataset"], "version": 1}
    assert batch["progress"] == {"done": 6, "total": 6, "failed": 0}
    assert batch["embedding"] == {"new": 0}
    (figures,) = batch["evaluation"]
    assert (figures["split"], figures["num_examples"], figures["left_out"]) == ("train", 6, 0)
    assert figures["seen_in_training"] == 6
    assert (figures["accuracy"]["low"], figures["accuracy"]["high"]) == (None, None)
    found = lines(caller, batch["id"])
    assert [one["index"] for one in found] == list(range(6))
    assert {one["expected"] for one in found} == {"a", "b"}
    right = sum(one["label"] == one["expected"] for one in found)
    assert figures["accuracy"]["value"] == pytest.approx(right / 6)
    examples = caller.get(f"/v1/datasets/{trained['dataset']}/examples").json()["data"]
    assert [(one["id"], one["path"]) for one in found] == [
        (example["id"], example["path"]) for example in examples
    ]


def test_only_what_was_trained_on_counts_as_seen(
    caller: httpx.Client, trained: dict[str, str]
) -> None:
    """Another dataset with some of the training pictures in it."""
    members = {
        f"{label}/{at}.png": png(700 + 9 * ord(label) + at) for label in "ab" for at in range(2)
    }
    one = caller.get(f"/v1/datasets/{trained['dataset']}/examples").json()["data"][0]
    path = f"/v1/datasets/{trained['dataset']}/examples/{one['id']}/content"
    members[f"{one['label']}/seen.png"] = caller.get(path).content
    other = made(caller, zipped(members), headers=WAIT)["id"]
    (figures,) = start(caller, model=trained["model"], dataset=other)["evaluation"]
    assert (figures["num_examples"], figures["seen_in_training"]) == (5, 1)


def test_an_archive_of_pictures_in_any_folders(
    caller: httpx.Client, trained: dict[str, str]
) -> None:
    members = {f"{'deep/' * (i % 3)}{i}.png": png(900 + i) for i in range(9)}
    members |= {"bad.png": png(1)[:40], "notes.md": b"hello"}
    answer = send(caller, zipped(members), model=trained["model"], top_k="1")
    assert answer.status_code == 200, answer.text
    batch = answer.json()
    assert answer.headers["location"] == f"{BATCHES}/{batch['id']}"
    assert (batch["filename"], batch["dataset"], batch["top_k"]) == ("new.zip", None, 1)
    assert batch["progress"] == {"done": 10, "total": 10, "failed": 1}
    assert batch["embedding"] == {"new": 9}
    assert batch["evaluation"] is None
    assert [(one["code"], one["path"]) for one in batch["problems"]] == [
        ("unsupported_member", "notes.md")
    ]
    found = lines(caller, batch["id"])
    assert [one["path"] for one in found] == [*list(members)[:-1]]
    assert found[-1]["error"]["code"] == "image_truncated"
    assert "label" not in found[-1]
    assert all("expected" not in one for one in found)
    again = send(caller, zipped(members), model=trained["model"]).json()
    assert again["embedding"] == {"new": 0}
    assert again["id"] != batch["id"]


def test_the_same_results_as_csv(caller: httpx.Client, trained: dict[str, str]) -> None:
    members = {'odd, "name".png': png(950), "x.png": b"no picture"}
    batch = send(caller, zipped(members), model=trained["model"]).json()["id"]
    path = f"{BATCHES}/{batch}/results"
    answer = caller.get(path, params={"format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="{batch}.csv"'
    assert answer.headers["vary"] == "Accept"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["path"] for row in rows] == list(members)
    assert rows[0]["label"] in ("a", "b")
    assert rows[0]["unknown"] == "false"
    assert rows[1]["error_code"] == "image_invalid"
    assert caller.get(path, headers={"accept": "text/csv"}).text == answer.text
    assert caller.get(path, headers={"accept": "*/*"}).text.startswith("{")
    assert code(caller.get(path, params={"format": "xml"})) == (422, "invalid_request")


def test_inputs_help_each_other_where_that_is_asked(
    caller: httpx.Client, trained: dict[str, str]
) -> None:
    """Of ten inputs, in parts of at most four, the light process smooths those of four."""
    members = {
        f"{label}/{at}.png": png(4000 + 9 * ord(label) + at) for label in "ab" for at in range(5)
    }
    dataset = made(caller, zipped(members), headers=WAIT)["id"]
    batch = start(caller, model=trained["model"], dataset=dataset, use_unlabelled=True)
    assert batch["use_unlabelled"] is True
    told = batch["smoothing"]
    assert (told["smoothed"], told["one_by_one"]) == (4, 6)
    assert [part["code"] for part in told["left_off"]] == ["too_few_inputs"] * 2
    found = lines(caller, batch["id"])
    for part in told["left_off"]:
        assert not any(one["smoothed"] for one in found[part["start"] : part["stop"]])
    assert sum(one["smoothed"] for one in found) == 4
    (figures,) = batch["evaluation"]
    assert (figures["num_examples"], figures["smoothed"]) == (10, 4)
    rows = list(
        csv.DictReader(caller.get(f"{BATCHES}/{batch['id']}/results?format=csv").text.splitlines())
    )
    assert [row["smoothed"] == "true" for row in rows] == [one["smoothed"] for one in found]
    plain = start(caller, model=trained["model"], dataset=dataset)
    assert (plain["use_unlabelled"], plain["smoothing"]) == (False, None)
    assert not any("smoothed" in one for one in lines(caller, plain["id"]))


def test_an_upload_asks_for_it_in_a_field(caller: httpx.Client, trained: dict[str, str]) -> None:
    data = zipped({f"{at}.png": png(5000 + at) for at in range(4)})
    batch = send(caller, data, model=trained["model"], use_unlabelled="true").json()
    assert batch["smoothing"] == {"smoothed": 4, "one_by_one": 0, "left_off": []}


def test_an_alias_and_a_job_mean_their_model(caller: httpx.Client, trained: dict[str, str]) -> None:
    caller.put("/v1/aliases/shapes@production", json={"model": trained["model"]}).raise_for_status()
    for name in ("shapes@production", trained["job"]):
        batch = start(caller, model=name, dataset=trained["dataset"])
        assert batch["model"] == trained["model"]


def test_a_dataset_still_processing_is_waited_for(
    caller: httpx.Client, trained: dict[str, str]
) -> None:
    dataset = made(caller, zipped(folders({"c": 15, "d": 15})))
    batch = start(caller, model=trained["model"], dataset=dataset["id"])
    assert batch["status"] == "succeeded"
    assert batch["progress"]["total"] == 30
    (figures,) = batch["evaluation"]
    assert (figures["num_examples"], figures["left_out"]) == (0, 30)
    assert figures["accuracy"]["value"] is None


def test_a_key_makes_one_batch(caller: httpx.Client, trained: dict[str, str]) -> None:
    body = {"model": trained["model"], "dataset": trained["dataset"]}
    headers = {"idempotency-key": "once"}
    first, second = (caller.post(BATCHES, json=body, headers=headers) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    other = caller.post(BATCHES, json=body | {"top_k": 2}, headers=headers)
    assert code(other) == (422, "idempotency_mismatch")


def test_a_key_makes_one_batch_of_an_upload(caller: httpx.Client, trained: dict[str, str]) -> None:
    headers = {"idempotency-key": "once more"} | WAIT
    send_with = [
        caller.post(
            BATCHES,
            files={"file": ("x.zip", zipped({"1.png": png(seed)}))},
            data={"model": trained["model"]},
            headers={**headers, "idempotency-key": "upload"},
        )
        for seed in (990, 990, 991)
    ]
    first, second, other = send_with
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["idempotent-replayed"] == "true"
    assert code(other) == (422, "idempotency_mismatch")


def test_a_raw_body_names_its_model_in_the_query(
    caller: httpx.Client, trained: dict[str, str]
) -> None:
    answer = caller.post(
        BATCHES,
        content=zipped({"1.png": png(995)}),
        params={"model": trained["model"], "filename": "raw.zip"},
        headers={"content-type": "application/zip"} | WAIT,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["filename"] == "raw.zip"


def test_lists_have_cursors(caller: httpx.Client, trained: dict[str, str]) -> None:
    ids = [start(caller, **{k: trained[k] for k in ("model", "dataset")})["id"] for _ in range(3)]
    first = caller.get(BATCHES, params={"limit": 2}).json()
    assert [one["id"] for one in first["data"]] == [ids[2], ids[1]]
    assert first["has_more"]
    rest = caller.get(BATCHES, params={"after": ids[1], "limit": 1}).json()
    assert [one["id"] for one in rest["data"]] == [ids[0]]
    assert code(caller.get(BATCHES, params={"after": "x"})) == (422, "invalid_request")


def test_a_deleted_batch_leaves_nothing(
    working: Service, caller: httpx.Client, trained: dict[str, str]
) -> None:
    idle(working)
    before = leftovers(working)
    shared = {"a/0000.png": folders({"a": 3})["a/0000.png"]}  # the dataset has it too
    batch = send(caller, zipped({"new.png": png(777), **shared}), model=trained["model"]).json()
    assert len(leftovers(working)) > len(before)
    gone = caller.delete(f"{BATCHES}/{batch['id']}")
    told = gone.json()
    assert told.pop("deletion")["status"] == "done"
    assert told == {"id": batch["id"], "object": "batch_prediction", "deleted": True}
    idle(working)
    assert leftovers(working) == before
    assert not [work for work in works(working) if work.batch_id == batch["id"]]
    assert code(caller.get(f"{BATCHES}/{batch['id']}")) == (404, "not_found")
    assert code(caller.delete(f"{BATCHES}/{batch['id']}")) == (404, "not_found")
    again = start(caller, model=trained["model"], dataset=trained["dataset"])
    assert again["embedding"] == {"new": 0}


def test_results_outlive_the_model_and_the_dataset(working: Service, caller: httpx.Client) -> None:
    dataset = made(caller, headers=WAIT)["id"]
    body = {"model": BACKBONE, "training_file": dataset}
    job = caller.post("/v1/fine_tuning/jobs", json=body, headers=WAIT).json()
    batch = start(caller, model=job["fine_tuned_model"], dataset=dataset)["id"]
    assert caller.delete(f"/v1/models/{job['fine_tuned_model']}").status_code == 200
    assert caller.delete(f"/v1/datasets/{dataset}").status_code == 200
    idle(working)
    sweeper = Sweeper(working.services.sessions, working.services.storage, grace=0)
    sweeper.sweep()
    sweeper.sweep()
    assert len(lines(caller, batch)) == 6
    assert caller.get(f"{BATCHES}/{batch}").json()["evaluation"]


def test_what_was_uploaded_goes_once_it_was_predicted(
    working: Service, caller: httpx.Client, trained: dict[str, str]
) -> None:
    batch = send(caller, zipped({"1.png": png(555)}), model=trained["model"]).json()["id"]
    packs = [key for key in leftovers(working) if "/packs/" in key]
    idle(working)
    sweeper = Sweeper(working.services.sessions, working.services.storage, grace=0)
    sweeper.sweep()
    sweeper.sweep()
    left = [key for key in leftovers(working) if "/packs/" in key]
    assert len(left) < len(packs)
    assert len(lines(caller, batch)) == 1
    assert start(caller, model=trained["model"], dataset=trained["dataset"])["error"] is None


def test_a_missing_part_is_said(
    working: Service, caller: httpx.Client, trained: dict[str, str]
) -> None:
    batch = start(caller, model=trained["model"], dataset=trained["dataset"])["id"]
    folder: Path = working.settings.data_dir / "storage" / "batches" / "default" / batch
    shutil.rmtree(folder)
    assert code(caller.get(f"{BATCHES}/{batch}/results")) == (503, "storage_unavailable")
