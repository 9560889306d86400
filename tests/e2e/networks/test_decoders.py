"""Decoders of texts from the weights folder train, predict, answer batches and are exported."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.conftest import served
from tests.e2e.test_batches import BATCHES
from tests.tiny_decoders import decoder, gguf_file, say

FAMILIES = ("gpt2", "llama", "qwen2")
PACKED, BROKEN = "packed", "cut-short"
LINES = {
    "money": ["money back", "the money was back", "money money", "back the money", "my money back"],
    "hello": ["hello", "hello hello", "oh hello the card", "hello, hello", "well hello"],
}
ASKED = ["money was back", "hello hello hello"]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    data_dir, weights_dir = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("weights")
    made = {family: decoder(family, weights_dir / family) for family in FAMILIES}
    gguf_file("llama", made["llama"], weights_dir / f"{PACKED}.gguf")
    say(weights_dir, PACKED, template="the {} was", pooling="last", layer=2)
    whole = (weights_dir / f"{PACKED}.gguf").read_bytes()
    (weights_dir / f"{BROKEN}.gguf").write_bytes(whole[:9000])
    with served(data_dir, weights_dir) as caller:
        yield caller


@pytest.mark.parametrize("name", [*FAMILIES, PACKED])
def test_a_decoder_serves_as_an_encoder_does(name: str, client: httpx.Client) -> None:
    listed = {one["id"]: one for one in client.get("/v1/backbones").json()["data"]}
    assert (listed[name]["available"], listed[name]["dim"]) == (True, 64)
    assert len(listed[name]["weights"]["sha256"]) == 64
    lines = [json.dumps({"text": text, "label": label}) for label in LINES for text in LINES[label]]
    dataset = client.post(
        "/v1/datasets",
        files={"file": ("lines.jsonl", "\n".join(lines).encode())},
        data={"backbone": name},
        headers={"Prefer": "wait=120"},
    ).json()
    body = {"model": name, "training_file": dataset["id"]}
    job = client.post("/v1/fine_tuning/jobs", json=body, headers={"Prefer": "wait=120"}).json()
    assert job["status"] == "succeeded", job
    model = str(job["fine_tuned_model"])
    inputs = [{"text": text} for text in ASKED]
    answer = client.post(f"/v1/models/{model}/predictions", json={"inputs": inputs}).json()["data"]
    assert [one["label"] for one in answer] == ["money", "hello"]
    alone = client.post(f"/v1/models/{model}/predictions", json={"inputs": inputs[:1]}).json()
    assert alone["data"][0]["probability"] == pytest.approx(answer[0]["probability"], abs=2e-3)
    batch = client.post(
        BATCHES,
        files={"file": ("asked.jsonl", "\n".join(map(json.dumps, inputs)).encode())},
        data={"model": model},
        headers={"Prefer": "wait=60"},
    ).json()
    assert batch["status"] == "succeeded", batch
    results = client.get(f"{BATCHES}/{batch['id']}/results").text.splitlines()
    assert [json.loads(line)["label"] for line in results] == ["money", "hello"]
    bundle = client.get(f"/v1/models/{model}/artifacts/head", headers={"Prefer": "wait=60"})
    assert (bundle.status_code, bundle.content[:1] != b"") == (200, True), bundle.text


def test_a_damaged_decoder_is_told_before_a_job(client: httpx.Client) -> None:
    listed = {one["id"]: one for one in client.get("/v1/backbones").json()["data"]}
    assert not listed[BROKEN]["available"]
    assert "cut short" in listed[BROKEN]["reason"]
    refused = client.post(
        "/v1/datasets",
        files={"file": ("lines.jsonl", b'{"text": "hello", "label": "a"}')},
        data={"backbone": BROKEN},
    )
    assert refused.status_code >= 400
    assert refused.json()["code"] == "weights_invalid"
