"""The whole way over HTTP, on both footings: upload, fine-tune, predict what was held out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from app.core.hyperparameters import METHODS
from tests.e2e.archives import drawn, of_folder, zipped
from tests.e2e.conftest import Service
from tests.faults.counts import FULL

_RIGHT: dict[str, dict[str, int]] = {}
SQUISH = {"type": "auto", "auto": {"hyperparameters": {"views": ["squish"]}}}
"""Whatever other views idle time has added by then."""


def upload(client: httpx.Client, archive: bytes, name: str = "set.zip") -> dict[str, Any]:
    answer = client.post(
        "/v1/datasets", files={"file": (name, archive)}, headers={"Prefer": "wait=100"}
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def fine_tune(client: httpx.Client, dataset: str, **fields: Any) -> dict[str, Any]:
    body = {"model": "efficientnet_lite0", "training_file": dataset, "seed": 1, **fields}
    answer = client.post("/v1/fine_tuning/jobs", json=body, headers={"Prefer": "wait=100"})
    assert answer.status_code in (200, 201, 202), answer.text
    job = dict(answer.json())
    assert job["status"] == "succeeded", job
    return job


def judged(client: httpx.Client, model: str, root: Path, *, per_class: int) -> tuple[int, int]:
    """How many pictures are told right, of how many."""
    right = asked = 0
    for folder in sorted(root.iterdir()):
        files = [
            ("files", (path.name, path.read_bytes()))
            for path in sorted(folder.iterdir())[:per_class]
        ]
        answer = client.post(f"/v1/models/{model}/predictions", files=files)
        assert answer.status_code == 200, answer.text
        rows = answer.json()["data"]
        assert len(rows) == len(files)
        right += sum(row["label"] == folder.name for row in rows)
        asked += len(files)
    return right, asked


@pytest.mark.parametrize("name", ["bccd_cells", "clothing", "omniglot"])
def test_class_folders_train_and_predict_their_test_folder(
    service: Service, shared_data: Path, name: str
) -> None:
    root = shared_data / name
    with service.client() as client:
        dataset = upload(client, of_folder(root / "train", per_class=8))
        assert dataset["status"] == "ready", dataset
        job = fine_tune(client, dataset["id"])
        right, asked = judged(client, job["fine_tuned_model"], root / "test", per_class=8)
        plain = fine_tune(client, dataset["id"], method=SQUISH)
        compared, _ = judged(client, plain["fine_tuned_model"], root / "test", per_class=8)
        evaluation = client.get(f"/v1/models/{job['fine_tuned_model']}/evaluation").json()
    assert right / asked > {"bccd_cells": 0.85, "clothing": 0.55, "omniglot": 0.6}[name]
    assert evaluation["accuracy"]["value"] > 0.5
    _RIGHT.setdefault(name, {})[service.footing] = compared
    footings = _RIGHT[name]
    if len(footings) == 2:
        assert abs(footings["embedded"] - footings["production"]) <= 1, "a tie falls either way"


def test_every_method_trains_on_the_same_embeddings(service: Service) -> None:
    with service.client() as client:
        methods = client.get("/v1/methods").json()["data"]
        dataset = upload(client, zipped(drawn(per_class=6)))["id"]
        for method in methods:
            if "image" not in method["modalities"]:
                continue
            tuned = METHODS[method["id"]].depth is not None
            if tuned and service.footing == "production" and not FULL:
                continue  # which are minutes, and go the whole way on the other footing
            job = fine_tune(client, dataset, method=_briefly(method["id"]))
            answer = _answered(client, job["fine_tuned_model"])
            assert answer.status_code == 200, (method["id"], answer.text)
            rows = answer.json()["data"]
            assert rows[0]["label"] in ("disc", "bar")


def _answered(client: httpx.Client, model: str) -> httpx.Response:
    """The first answer; a busy machine may read a tuned network for longer than one call waits."""
    for _ in range(10):
        answer = client.post(
            f"/v1/models/{model}/predictions",
            content=drawn(per_class=1, seed=9)["disc/0.png"],
            headers={"content-type": "image/png", "prefer": "wait=60"},
        )
        if answer.status_code != 504:
            break
    return answer


def _briefly(method: str) -> dict[str, Any]:
    """The method; what tunes a network does so for one epoch."""
    brief = {"epochs": 1} if METHODS[method].depth is not None else {}
    return {"type": method, method: {"hyperparameters": brief}}


def test_the_textbook_recipe_reports_every_epoch(service: Service) -> None:
    with service.client() as client:
        dataset = upload(client, zipped(drawn(per_class=10)))["id"]
        hyperparameters = {"n_epochs": 5, "learning_rate": 0.01, "optimizer": "sgd"}
        job = fine_tune(
            client,
            dataset,
            method={"type": "linear", "linear": {"hyperparameters": hyperparameters}},
        )
        events = client.get(f"/v1/fine_tuning/jobs/{job['id']}/events?limit=100").json()["data"]
        checkpoints = client.get(f"/v1/fine_tuning/jobs/{job['id']}/checkpoints").json()["data"]
    metrics = [event["data"] for event in events if event["type"] == "metrics"]
    assert len(metrics) == len(checkpoints) == 5
    assert all({"train_loss", "valid_loss"} <= set(row) for row in metrics)


def test_a_seed_reproduces_a_job(service: Service) -> None:
    picture = drawn(per_class=1, seed=3)["bar/0.png"]
    with service.client() as client:
        dataset = upload(client, zipped(drawn(per_class=6)))["id"]
        answers = []
        for _ in range(2):
            job = fine_tune(client, dataset, seed=11, method={"type": "linear"})
            url = f"/v1/models/{job['fine_tuned_model']}/predictions"
            headers = {"content-type": "image/png"}
            answers.append(client.post(url, content=picture, headers=headers).json()["data"][0])
    assert answers[0]["label"] == answers[1]["label"]
    assert answers[0]["probability"] == pytest.approx(answers[1]["probability"], abs=1e-4)


def test_an_append_embeds_only_what_is_new(service: Service) -> None:
    members = drawn(per_class=6, seed=5)
    with service.client() as client:
        dataset = upload(client, zipped(members))["id"]
        answer = client.post(
            f"/v1/datasets/{dataset}/examples",
            files={"file": ("more.zip", zipped(drawn(per_class=2, seed=6)))},
            headers={"Prefer": "wait=60"},
        )
        assert answer.status_code in (200, 201), answer.text
        assert answer.json()["version"] == 2
        assert answer.json()["num_examples"] == 16
        job = fine_tune(client, dataset)
        assert job["dataset"]["version"] == 2


def test_a_truncated_picture_is_a_problem_and_the_rest_trains(service: Service) -> None:
    members = drawn(per_class=5, seed=7)
    members["disc/broken.png"] = members["disc/0.png"][:-40]
    with service.client() as client:
        dataset = upload(client, zipped(members))
        assert dataset["status"] == "ready"
        assert dataset["num_examples"] == 10
        problem = next(p for p in dataset["problems"] if p["code"] == "image_truncated")
        assert problem["path"] == "disc/broken.png"
        fine_tune(client, dataset["id"])


def test_one_bad_picture_in_a_list_is_that_items_error(service: Service) -> None:
    pictures = drawn(per_class=2, seed=8)
    with service.client() as client:
        job = fine_tune(client, upload(client, zipped(drawn(per_class=5, seed=7)))["id"])
        url = f"/v1/models/{job['fine_tuned_model']}/predictions"
        files = [("files", (name, content)) for name, content in pictures.items()]
        files.insert(1, ("files", ("bad.png", b"not a picture")))
        rows = client.post(url, files=files).json()["data"]
        alone = client.post(url, content=b"nope", headers={"content-type": "image/png"})
    assert [("error" in row) for row in rows] == [False, True, False, False, False]
    assert alone.status_code == 422
    assert alone.headers["content-type"] == "application/problem+json"


def test_another_organisation_sees_nothing(service: Service) -> None:
    with service.client() as client:
        job = fine_tune(client, upload(client, zipped(drawn(per_class=4)))["id"])
        made = client.post(
            "/v1/api_keys", json={"name": "other", "organization": "other", "scopes": ["admin"]}
        )
    with service.client(made.json()["key"]) as other:
        assert other.get("/v1/models").json()["data"] == []
        for path in (
            f"/v1/models/{job['fine_tuned_model']}",
            f"/v1/fine_tuning/jobs/{job['id']}",
            f"/v1/datasets/{job['training_file']}",
        ):
            assert other.get(path).status_code == 404


def test_the_official_sdk_is_a_client(service: Service) -> None:
    with OpenAI(base_url=service.url + "/v1", api_key=service.key) as sdk:
        uploaded = sdk.files.create(
            file=("shapes.zip", zipped(drawn(per_class=5, seed=21))), purpose="fine-tune"
        )
        uploaded = sdk.files.wait_for_processing(uploaded.id, poll_interval=0.2)
        assert uploaded.status == "processed"
        job = sdk.fine_tuning.jobs.create(
            model="efficientnet_lite0", training_file=uploaded.id, suffix="shapes"
        )
        deadline = time.monotonic() + 600
        while job.status not in ("succeeded", "failed") and time.monotonic() < deadline:
            time.sleep(0.1)
            job = sdk.fine_tuning.jobs.retrieve(job.id)
        assert job.status == "succeeded", job.error
        events = list(sdk.fine_tuning.jobs.list_events(job.id, limit=2))
        assert len(events) > 2
        assert job.fine_tuned_model in [model.id for model in sdk.models.list()]
        assert sdk.models.retrieve(job.fine_tuned_model).owned_by
        assert job.id in [listed.id for listed in sdk.fine_tuning.jobs.list(limit=5)]
        assert sdk.fine_tuning.jobs.checkpoints.list(job.id).data is not None
        assert sdk.models.delete(job.fine_tuned_model).deleted
