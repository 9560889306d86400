"""Networks tuned whole, or beside adapters, the whole way over HTTP: pictures and texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service
from tests.e2e.test_batches import BATCHES
from tests.e2e.test_upload_to_prediction import upload
from tests.e2e.tuning.test_partial import (
    FRESH,
    JOBS,
    PER_CLASS,
    WAIT,
    alone_of,
    exported,
    in_bulk,
    judged,
    tuned,
)

WORDS = {"refund": ("money", "payment", "price"), "hello": ("morning", "friend", "evening")}
SENTENCES = {
    f"{start} {word} {n}": label
    for label, some in WORDS.items()
    for n, word in enumerate(some)
    for start in ("about the", "so the", "what of the", "dear")
}
ASKED = {"so the payment then": "refund", "what of the evening": "hello"}


@pytest.mark.parametrize("depth", ["lora", "full"])
def test_pictures_go_the_whole_way(service: Service, depth: str, tmp_path: Path) -> None:
    with service.client() as client:
        dataset = str(upload(client, zipped(drawn(per_class=PER_CLASS, seed=40)))["id"])
        job = tuned(client, dataset, depth=depth, epochs=1, share=0.5)
        model = str(job["fine_tuned_model"])
        judged(client, job)
        alone = alone_of(client, model)
        in_bulk(client, model, alone)
        exported(client, model, "onnx", alone, tmp_path)
        _beside_a_frozen_one(client, dataset, model, alone)
        assert client.delete(f"/v1/models/{model}").status_code == 200
        assert client.delete(f"/v1/datasets/{dataset}").status_code == 200


def _beside_a_frozen_one(
    client: httpx.Client, dataset: str, model: str, alone: list[dict[str, Any]]
) -> None:
    """Heads that read pixels and heads that do not are asked about one picture together."""
    body = {"model": "efficientnet_lite0", "training_file": dataset}
    other = client.post(JOBS, json=body, headers=WAIT).json()["fine_tuned_model"]
    data = next(iter(FRESH.values()))
    answer = client.post(
        "/v1/predictions",
        files=[("files", ("a.png", data))],
        params={"models": [model, other]},
    )
    assert answer.status_code == 200, answer.text
    told = {one["model"]: one["data"][0] for one in answer.json()["data"]}
    assert told[model]["probability"] == pytest.approx(alone[0]["probability"], abs=5e-3)


@pytest.mark.parametrize("depth", ["lora", "full", "setfit"])
def test_texts_go_the_whole_way(service: Service, depth: str) -> None:
    lines = [json.dumps({"text": text, "label": label}) for text, label in SENTENCES.items()]
    with service.client() as client:
        sent = {"file": ("lines.jsonl", "\n".join(lines).encode())}
        dataset = str(client.post("/v1/datasets", files=sent, headers=WAIT).json()["id"])
        job = tuned(client, dataset, depth=depth, model="all-MiniLM-L6-v2", epochs=2, share=0.5)
        model = str(job["fine_tuned_model"])
        judged(client, job)
        inputs = {"inputs": [{"text": text} for text in ASKED]}
        answer = client.post(f"/v1/models/{model}/predictions", json=inputs)
        assert answer.status_code == 200, answer.text
        said = answer.json()["data"]
        assert [one["label"] for one in said] == list(ASKED.values())
        _in_bulk(client, model, said)
        _explained(client, model)
        assert client.get(f"/v1/models/{model}/artifacts/head").status_code == 200
        assert client.delete(f"/v1/models/{model}").status_code == 200
        assert client.post(f"/v1/models/{model}/predictions", json=inputs).status_code == 404


def _in_bulk(client: httpx.Client, model: str, alone: list[dict[str, Any]]) -> None:
    lines = "\n".join(json.dumps({"text": text}) for text in ASKED)
    sent = {"file": ("asked.jsonl", lines.encode())}
    batch = client.post(BATCHES, files=sent, data={"model": model}, headers=WAIT).json()
    assert batch["status"] == "succeeded", batch
    rows = client.get(f"{BATCHES}/{batch['id']}/results").text.splitlines()
    for row, one in zip(map(json.loads, rows), alone, strict=True):
        assert row["label"] == one["label"]
        assert row["probability"] == pytest.approx(one["probability"], abs=5e-3)


def _explained(client: httpx.Client, model: str) -> None:
    """Neighbours are the training examples that the frozen backbone finds most like a text."""
    body = {"inputs": [{"text": "what of the price 2"}]}
    answer = client.post(f"/v1/models/{model}/predictions?explain=neighbours", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"][0]["neighbours"]


def test_what_can_be_tuned_is_listed_and_what_cannot_is_refused(service: Service) -> None:
    with service.client() as client:
        listed = {one["id"]: one["tuning"] for one in client.get("/v1/backbones").json()["data"]}
        assert listed["efficientnet_lite0"] == ["partial", "lora", "full"]
        assert listed["all-MiniLM-L6-v2"] == ["lora", "full", "setfit"]
        dataset = str(upload(client, zipped(drawn(per_class=6)))["id"])
        both = ["efficientnet_lite0", "efficientnet_lite1"]
        body = {"model": both, "training_file": dataset, "method": {"type": "lora"}}
        refused = client.post(JOBS, json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, "cut_unavailable")
