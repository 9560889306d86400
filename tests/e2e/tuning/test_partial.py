"""A tuned network the whole way over HTTP: judged, served, in bulk, exported and forgotten."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service
from tests.e2e.test_batches import BATCHES
from tests.e2e.test_upload_to_prediction import upload
from tests.servers import wait_for

JOBS = "/v1/fine_tuning/jobs"
WAIT = {"Prefer": "wait=120"}
PER_CLASS = 12
FRESH = drawn(per_class=4, seed=41)
CUT = 112 * 14 * 14
"""Numbers of one picture at the cut."""


def tuned(
    client: httpx.Client,
    dataset: str,
    *,
    depth: str = "partial",
    model: str = "efficientnet_lite0",
    **given: Any,
) -> dict[str, Any]:
    """A job that has tuned the network, once it has succeeded."""
    method = {"type": depth, depth: {"hyperparameters": given}}
    body = {"model": model, "training_file": dataset, "seed": 1, "method": method}
    answer = client.post(JOBS, json=body, headers=WAIT)
    assert answer.status_code in (200, 201, 202), answer.text
    job: dict[str, Any] = answer.json()
    assert job["status"] == "succeeded", job
    return job


def test_a_tuned_model_goes_the_whole_way(service: Service, tmp_path: Path) -> None:
    before = activations(service)
    with service.client() as client:
        dataset = str(upload(client, zipped(drawn(per_class=PER_CLASS, seed=40)))["id"])
        job = tuned(client, dataset, epochs=2, share=0.5)
        model = str(job["fine_tuned_model"])
        judged(client, job)
        alone = alone_of(client, model)
        in_bulk(client, model, alone)
        for to in ("onnx", "openvino", "torch"):
            exported(client, model, to, alone, tmp_path)
        assert activations(service) == before + 4 * 2 * PER_CLASS, "once for each view"
        assert client.delete(f"/v1/models/{model}").status_code == 200
        assert client.post(f"/v1/models/{model}/predictions", files=_files()).status_code == 404
        assert client.delete(f"/v1/datasets/{dataset}").status_code == 200
    wait_for(lambda: activations(service) == before, seconds=60)


def judged(client: httpx.Client, job: dict[str, Any]) -> None:
    model = job["fine_tuned_model"]
    card = client.get(f"/v1/models/{model}").json()["card"]
    assert card["hyperparameters"]["tuned"]["share"] == 0.5
    evaluation = client.get(f"/v1/models/{model}/evaluation").json()
    assert evaluation["how"]["method"] == "k-fold"
    low, high = (evaluation["accuracy"][name] for name in ("low", "high"))
    assert low <= evaluation["accuracy"]["value"] <= high
    events = client.get(f"{JOBS}/{job['id']}/events?limit=100").json()["data"]
    metrics = [event["data"] for event in events if event["type"] == "metrics"]
    assert all({"train_loss", "valid_loss", "seconds_left"} <= set(one) for one in metrics)
    assert {one["round"] for one in metrics} == {1, 2, 3}


def _files() -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", item) for item in FRESH.items()]


def alone_of(client: httpx.Client, model: str) -> list[dict[str, Any]]:
    answer = client.post(f"/v1/models/{model}/predictions", files=_files())
    items: list[dict[str, Any]] = answer.json()["data"]
    assert [one["label"] for one in items] == [path.split("/")[0] for path in FRESH]
    return items


def in_bulk(client: httpx.Client, model: str, alone: list[dict[str, Any]]) -> None:
    sent = {"file": ("fresh.zip", zipped(FRESH))}
    batch = client.post(BATCHES, files=sent, data={"model": model}, headers=WAIT).json()
    assert batch["status"] == "succeeded", batch
    lines = client.get(f"{BATCHES}/{batch['id']}/results").text.splitlines()
    for line, one in zip(map(json.loads, lines), alone, strict=True):
        assert line["label"] == one["label"]
        assert line["probability"] == pytest.approx(one["probability"], abs=5e-3)
    assert client.delete(f"{BATCHES}/{batch['id']}").status_code == 200


def exported(
    client: httpx.Client, model: str, to: str, alone: list[dict[str, Any]], folder: Path
) -> None:
    answer = client.get(f"/v1/models/{model}/artifacts/{to}", headers=WAIT)
    assert answer.status_code == 200, answer.text
    zipfile.ZipFile(io.BytesIO(answer.content)).extractall(folder / to)
    pictures = []
    for number, data in enumerate(FRESH.values()):
        pictures.append(folder / f"{number}.png")
        pictures[-1].write_bytes(data)
    (script,) = (folder / to).glob("*/run.py")
    command = [sys.executable, "-I", str(script), *map(str, pictures)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for line, one in zip(done.stdout.splitlines(), alone, strict=True):
        _, label, probability = line.split("\t")
        assert label == one["label"]
        assert float(probability) == pytest.approx(one["probability"], abs=0.02), to


def activations(service: Service) -> int:
    """How many rows of activations at a cut are kept."""
    files = (service.data_dir / "storage" / "embeddings").glob("**/*.npy")
    shapes = [np.load(file, mmap_mode="r").shape for file in files]
    return sum(rows for rows, width in shapes if width == CUT)
