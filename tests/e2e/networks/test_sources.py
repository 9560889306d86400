"""Networks of others train, predict and are exported over HTTP, and their bundles agree."""

from __future__ import annotations

import io
import json
import runpy
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from safetensors.torch import load

from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import served
from tests.e2e.networks.supplied import PICTURES, TEXTS
from worker.ml.artifact import HeadArtifact, HeadConfig
from worker.ml.engines import load_engine
from worker.ml.heads import scoring

SAME = 0.005
"""How far a bundle's probabilities may be from the service's, in one number format."""
WAIT = {"Prefer": "wait=60"}
BUSY = (503, 504)
LINES = {
    "money": ["money back", "the money was back", "money money", "back the money", "my money back"],
    "hello": ["hello", "hello hello", "oh hello the card", "hello, hello", "well hello"],
}
ASKED = ("money was back", "hello hello hello")
pytestmark = pytest.mark.timeout(1200)  # on a machine that others keep busy, too


@dataclass(frozen=True)
class Place:
    """A service, and the folder in which it looks for networks."""

    client: httpx.Client
    weights_dir: Path
    cache_dir: Path

    def listed(self, name: str) -> dict[str, Any]:
        """What is said of a backbone."""
        told = self.client.get("/v1/backbones").json()["data"]
        return next(one for one in told if one["id"] == name)

    def trained(self, name: str, file: tuple[str, bytes]) -> dict[str, Any]:
        """The model that a job on this file makes; of the file no further views are embedded."""
        dataset = self.client.post(
            "/v1/datasets", files={"file": file}, data={"backbone": name}
        ).json()
        body = {"model": name, "training_file": dataset["id"]}
        job = self.client.post("/v1/fine_tuning/jobs", json=body, headers=WAIT).json()
        while job.get("status") in ("validating_files", "queued", "running"):
            time.sleep(1)
            job = self.client.get(f"/v1/fine_tuning/jobs/{job['id']}").json()
        assert job["status"] == "succeeded", job
        self.client.delete(f"/v1/datasets/{dataset['id']}").raise_for_status()
        model: dict[str, Any] = self.client.get(f"/v1/models/{job['fine_tuned_model']}").json()
        return model

    def predicted(self, model: dict[str, Any], **inputs: Any) -> list[dict[str, Any]]:
        """The service's answers."""
        path = f"/v1/models/{model['id']}/predictions?timeout=100"
        while (answer := self.client.post(path, headers=WAIT, **inputs)).status_code in BUSY:
            time.sleep(1)
        assert answer.status_code == 200, answer.text
        data: list[dict[str, Any]] = answer.json()["data"]
        return data

    def artifact(self, model: dict[str, Any], name: str) -> bytes:
        """What is downloaded of a model."""
        path = f"/v1/models/{model['id']}/artifacts/{name}"
        while (answer := self.client.get(path, headers=WAIT)).status_code == 202:
            pass
        assert answer.status_code == 200, answer.text
        return answer.content


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    data_dir, weights_dir = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HEADSTART_PRECISION", "f32")  # of bf16 another machine rounds otherwise
        patched.setenv("HEADSTART_ALLOW_HUB_CODE", "true")
        with served(data_dir, weights_dir) as client:
            yield Place(client, weights_dir, data_dir / "engines")


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.filterwarnings("ignore")  # of what runs a bundle where its owner has it
def test_pictures(name: str, place: Place, tmp_path: Path) -> None:
    case = PICTURES[name]
    case.lay(place.weights_dir, name)  # while the service runs, as an operator does it
    listed = place.listed(name)
    assert (listed["source"], listed["available"]) == (case.source, True), listed
    model = place.trained(name, ("drawn.zip", zipped(drawn(per_class=5))))
    unseen = drawn(per_class=2, seed=1)
    files = [("files", (path, data, "image/png")) for path, data in unseen.items()]
    answer = place.predicted(model, files=files)
    with zipfile.ZipFile(io.BytesIO(place.artifact(model, "openvino"))) as bundle:
        bundle.extractall(tmp_path)
    (folder,) = tmp_path.iterdir()
    classifier = runpy.run_path(str(folder / "run.py"))["Classifier"](folder)
    rows = classifier(list(unseen.values()))
    assert np.abs(rows - told_of(answer, classifier.labels)).max() <= SAME


@pytest.mark.parametrize("name", TEXTS)
def test_texts(name: str, place: Place) -> None:
    TEXTS[name].lay(place.weights_dir, name)
    assert place.listed(name)["available"]
    lines = [json.dumps({"text": text, "label": label}) for label in LINES for text in LINES[label]]
    model = place.trained(name, ("lines.jsonl", "\n".join(lines).encode()))
    told = place.predicted(model, json={"inputs": [{"text": text} for text in ASKED]})
    assert [one["label"] for one in told] == list(LINES)
    head = HeadArtifact(
        tensors=load(place.artifact(model, "head")),
        config=HeadConfig.from_json(json.loads(place.artifact(model, "model.json"))["config"]),
    )
    engine: Any = load_engine(
        name, place.weights_dir, device="cpu", cache_dir=place.cache_dir, precision="f32"
    )
    rows = scoring.probabilities(
        head,
        {"text": torch.from_numpy(engine.embed(ASKED))},
        layout=engine.spec.layout,
        texts=ASKED,
    )
    assert np.abs(rows.numpy() - told_of(told, head.config.classes)).max() <= SAME


def told_of(answer: list[dict[str, Any]], labels: Any) -> Any:
    """The service's probabilities [n, k] in the order of `labels`."""
    by_label = [{one["label"]: one["probability"] for one in row["predictions"]} for row in answer]
    return np.array([[row[label] for label in labels] for row in by_label])
