"""Texts under two encoders over HTTP: `auto` makes a model of both, and everything serves it."""

from __future__ import annotations

import json

import httpx
import pytest

from app.core.backbones import E5, MINILM
from tests.e2e.conftest import Service
from tests.e2e.test_batches import BATCHES

BOTH = f"{MINILM.name}+{E5.name}"
LINES = {
    "refund": [
        "I want my money back", "please refund me", "return my payment", "give it back please",
        "Rudisha pesa zangu", "ina so a mayar min da kuɗi na",
    ],
    "hello": [
        "good morning", "hi there", "hello, how are you", "greetings to all",
        "Habari za asubuhi", "ina kwana",
    ],
}  # fmt: skip
ASKED = ["refund my money", "good evening to you"]


def upload(client: httpx.Client, **fields: str) -> str:
    lines = [json.dumps({"text": text, "label": label}) for label in LINES for text in LINES[label]]
    response = client.post(
        "/v1/datasets",
        files={"file": ("lines.jsonl", "\n".join(lines).encode())},
        data=fields,
        headers={"Prefer": "wait=60"},
    )
    assert response.status_code in (200, 201, 202), response.text
    return str(response.json()["id"])


def fitted(client: httpx.Client, **body: object) -> dict[str, object]:
    response = client.post("/v1/fine_tuning/jobs", json=body, headers={"Prefer": "wait=120"})
    job: dict[str, object] = response.json()
    assert job.get("status") == "succeeded", response.text
    return job


def messages(client: httpx.Client, job: dict[str, object]) -> list[str]:
    listed = client.get(f"/v1/fine_tuning/jobs/{job['id']}/events?limit=100").json()["data"]
    return [event["message"] for event in listed]


@pytest.fixture(scope="module")
def dataset(service: Service) -> str:
    with service.client() as client:
        return upload(client)


def test_a_job_that_names_no_model_is_fitted_on_both(service: Service, dataset: str) -> None:
    with service.client() as client:
        job = fitted(client, training_file=dataset)
        assert job["model"] == BOTH
        assert any("passes through 2 backbones" in said for said in messages(client, job))
        model = client.get(f"/v1/models/{job['fine_tuned_model']}").json()
        cost = {"backbones": [MINILM.name, E5.name], "views": ["text"], "passes": 2}
        assert model["prediction"] == job["prediction"] == cost
        members = model["card"]["backbone"]["members"]
        assert [one["name"] for one in members] == cost["backbones"]
        answer = client.post(
            f"/v1/models/{model['id']}/predictions",
            json={"inputs": [{"text": text} for text in ASKED]},
        )
        assert [one["label"] for one in answer.json()["data"]] == ["refund", "hello"]


def test_a_batch_answers_as_one_request_does(service: Service, dataset: str) -> None:
    with service.client() as client:
        job = fitted(client, model=[MINILM.name, E5.name], training_file=dataset)
        model = str(job["fine_tuned_model"])
        lines = "\n".join(json.dumps({"text": text}) for text in ASKED)
        batch = client.post(
            BATCHES,
            files={"file": ("asked.jsonl", lines.encode())},
            data={"model": model},
            headers={"Prefer": "wait=60"},
        ).json()
        assert batch["status"] == "succeeded", batch
        assert batch["embedding"]["new"] == 2 * len(ASKED)
        results = client.get(f"{BATCHES}/{batch['id']}/results").text
        bulk = [json.loads(line) for line in results.splitlines()]
        inputs = [{"text": text} for text in ASKED]
        one = client.post(f"/v1/models/{model}/predictions", json={"inputs": inputs}).json()["data"]
        for line, item in zip(bulk, one, strict=True):
            assert line["label"] == item["label"]
            assert line["probability"] == pytest.approx(item["probability"], abs=2e-3)


def test_a_single_name_stays_one_encoder(service: Service, dataset: str) -> None:
    with service.client() as client:
        job = fitted(client, model=MINILM.name, training_file=dataset)
        assert job["model"] == MINILM.name
        model = client.get(f"/v1/models/{job['fine_tuned_model']}").json()
        assert model["prediction"]["passes"] == 1
        assert job["embedding"] == {"new": 0, "cached": 12}  # both are embedded by now


def test_a_model_can_grow_from_one_on_both(service: Service, dataset: str) -> None:
    with service.client() as client:
        first = fitted(client, model="auto", training_file=dataset)
        again = fitted(client, model=first["fine_tuned_model"], training_file=dataset)
        assert (again["model"], again["from_model"]) == (BOTH, first["fine_tuned_model"])


def test_a_bundle_is_refused_by_name(service: Service, dataset: str) -> None:
    with service.client() as client:
        job = fitted(client, model="auto", training_file=dataset)
        answer = client.get(f"/v1/models/{job['fine_tuned_model']}/artifacts/onnx")
        assert answer.json()["code"] == "export_unsupported"


def test_embeddings_of_both_have_length_one(service: Service) -> None:
    with service.client() as client:
        answer = client.post("/v1/embeddings", json={"model": BOTH, "input": ASKED}).json()
        rows = [one["embedding"] for one in answer["data"]]
        assert [len(row) for row in rows] == [768, 768]
        assert sum(x * x for x in rows[0]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        (f"{MINILM.name}+nothing", "unknown_backbone"),
        (f"{MINILM.name}+{MINILM.name}", "invalid_request"),
        ([MINILM.name, "efficientnet_lite0"], "modality_mismatch"),
        (f"{MINILM.name}+", "unknown_backbone"),
        ([], "invalid_request"),
        ([["auto"]], "invalid_request"),
    ],
)
def test_what_does_not_go_together_is_refused(
    service: Service, dataset: str, model: object, code: str
) -> None:
    with service.client() as client:
        body = {"model": model, "training_file": dataset}
        answer = client.post("/v1/fine_tuning/jobs", json=body)
        assert (answer.status_code // 100, answer.json()["code"]) == (4, code), answer.text
        assert answer.json()["param"] == "model"
