"""Versions with a real trainer: a change costs no embedding, and a deletion leaves nothing."""

from __future__ import annotations

import time
from typing import Any

import httpx

from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service
from tests.e2e.test_upload_to_prediction import fine_tune, upload

WAIT = {"Prefer": "wait=60"}


def _timed(call: Any) -> tuple[dict[str, Any], float]:
    begun = time.monotonic()
    answer: httpx.Response = call()
    assert answer.is_success, answer.text
    return dict(answer.json()), time.monotonic() - begun


def test_relabelling_and_dropping_embed_nothing_new(service: Service) -> None:
    with service.client() as client:
        dataset = upload(client, zipped(drawn(per_class=12, seed=5)))
        assert dataset["status"] == "ready", dataset
        path = f"/v1/datasets/{dataset['id']}"
        first, second = client.get(f"{path}/examples").json()["data"][:2]
        one = f"{path}/examples/{first['id']}"
        other = {"disc": "bar", "bar": "disc"}[first["label"]]
        relabelled, seconds = _timed(lambda: client.patch(one, json={"label": other}, headers=WAIT))
        assert (relabelled["status"], relabelled["version"]) == ("ready", 2)
        assert seconds < 5
        dropped, seconds = _timed(
            lambda: client.delete(f"{path}/examples/{second['id']}", headers=WAIT)
        )
        assert (dropped["status"], dropped["version"], dropped["num_examples"]) == ("ready", 3, 23)
        assert seconds < 5
        job = fine_tune(client, dataset["id"])
        assert job["status"] == "succeeded"
        assert client.delete(path).status_code == 200
        model = job["fine_tuned_model"]
        picture = next(iter(drawn(per_class=1, seed=6).values()))
        answer = client.post(
            f"/v1/models/{model}/predictions",
            content=picture,
            headers={"content-type": "image/png"},
        )
        assert answer.status_code == 200, "a model outlives its dataset"


def test_a_deleted_dataset_leaves_no_bytes(service: Service) -> None:
    with service.client() as client:
        dataset = upload(client, zipped(drawn(per_class=7, seed=99)))
        shas = {
            one["sha256"]
            for one in client.get(f"/v1/datasets/{dataset['id']}/examples").json()["data"]
        }
        assert client.delete(f"/v1/datasets/{dataset['id']}").status_code == 200
    storage = service.data_dir / "storage"
    manifests = b"".join(path.read_bytes() for path in storage.glob("manifests/*/*"))
    assert not [sha for sha in shas if sha.encode() in manifests]
    assert not list((service.data_dir / "staging").glob("*/upload"))
