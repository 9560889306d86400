"""Networks of every source go the whole road over HTTP: job, prediction, export; bundles agree."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from safetensors.torch import load

from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import served
from tests.e2e.networks import bundles
from tests.e2e.networks.bundles import Bundles
from tests.e2e.networks.supplied import PICTURES, TEXTS, Case, blind_to_direction, striped
from tests.e2e.test_batches import BATCHES
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
UNSEEN = drawn(per_class=2, seed=1)
FIRST = ("own-hub", "distilbert")
"""On which the uploads are embedded."""
pytestmark = pytest.mark.timeout(1200)  # on a machine that others keep busy, too


@dataclass(frozen=True)
class Place:
    """A service, and the folder in which it looks for networks."""

    client: httpx.Client
    weights_dir: Path
    cache_dir: Path
    laid: dict[str, Case] = field(default_factory=dict)

    def supplied(self, name: str, case: Case) -> dict[str, Any]:
        """What is said of a backbone that is laid while the service runs, as operators do it."""
        if name not in self.laid:
            if isinstance(missing := case.lay(self.weights_dir, name), str):
                pytest.skip(missing)
            self.laid[name] = case
        listed: dict[str, Any] = self.listed()[name]
        assert (listed["source"], listed["available"]) == (case.source, True), listed
        return listed

    def listed(self) -> dict[str, Any]:
        """What is said of backbones, by name."""
        return {one["id"]: one for one in self.client.get("/v1/backbones").json()["data"]}

    def uploaded(self, file: tuple[str, bytes], backbone: str) -> str:
        """A dataset, every example of it embedded."""
        answer = self.client.post(
            "/v1/datasets", files={"file": file}, data={"backbone": backbone}, headers=WAIT
        ).json()
        while answer["status"] == "processing":
            time.sleep(0.5)
            answer = self.client.get(f"/v1/datasets/{answer['id']}").json()
        assert answer["status"] == "ready", answer
        return str(answer["id"])

    def trained(self, name: str, dataset: str, **asked: Any) -> dict[str, Any]:
        """The model that a job makes."""
        body = {"model": name, "training_file": dataset, **asked}
        job = self.client.post("/v1/fine_tuning/jobs", json=body, headers=WAIT).json()
        while job.get("status") in ("validating_files", "queued", "running"):
            time.sleep(0.5)
            job = self.client.get(f"/v1/fine_tuning/jobs/{job['id']}").json()
        assert job.get("status") == "succeeded", job
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


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundles]:
    with bundles.running(tmp_path_factory.mktemp("elsewhere")) as process:
        yield process


@pytest.fixture(scope="module")
def pictures(place: Place) -> str:
    """Discs and bars."""
    place.supplied(FIRST[0], PICTURES[FIRST[0]])
    return place.uploaded(("drawn.zip", zipped(drawn(per_class=5))), FIRST[0])


@pytest.fixture(scope="module")
def texts(place: Place) -> str:
    """Ten short ones."""
    place.supplied(FIRST[1], TEXTS[FIRST[1]])
    lines = [json.dumps({"text": text, "label": label}) for label in LINES for text in LINES[label]]
    return place.uploaded(("lines.jsonl", "\n".join(lines).encode()), FIRST[1])


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.filterwarnings("ignore")  # of libraries that save a network
def test_pictures(
    name: str, place: Place, pictures: str, elsewhere: Bundles, tmp_path: Path
) -> None:
    case = PICTURES[name]
    place.supplied(name, case)
    model = place.trained(name, pictures)
    answer = _agreeing(place, model, case.to, elsewhere, tmp_path, UNSEEN)
    if case.real:
        assert [one["label"] for one in answer] == [path.split("/")[0] for path in UNSEEN]
    if case.source == "graph":
        path = f"/v1/models/{model['id']}/artifacts/onnx"
        refused = place.client.get(path, headers=WAIT)
        assert (refused.status_code, refused.json()["code"]) == (422, "export_unsupported")


def _agreeing(
    place: Place,
    model: dict[str, Any],
    to: str,
    elsewhere: Bundles,
    folder: Path,
    unseen: Mapping[str, bytes],
) -> list[dict[str, Any]]:
    """The service's answers, which are those of the model's bundle."""
    files = [("files", (path, data, "image/png")) for path, data in unseen.items()]
    answer = place.predicted(model, files=files)
    with zipfile.ZipFile(io.BytesIO(place.artifact(model, to))) as bundle:
        bundle.extractall(folder)
    (unpacked,) = folder.iterdir()
    labels, rows = elsewhere.rows(unpacked, unseen)
    assert np.abs(np.array(rows) - told_of(answer, labels)).max() <= SAME
    return answer


@pytest.mark.parametrize("name", TEXTS)
def test_texts(name: str, place: Place, texts: str) -> None:
    place.supplied(name, TEXTS[name])
    model = place.trained(name, texts)
    inputs = [{"text": text} for text in ASKED]
    told = place.predicted(model, json={"inputs": inputs})
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
    _in_bulk(place, model, told)


def _in_bulk(place: Place, model: dict[str, Any], told: list[dict[str, Any]]) -> None:
    """A batch answers as a request does."""
    lines = "\n".join(json.dumps({"text": text}) for text in ASKED)
    sent = {"file": ("asked.jsonl", lines.encode())}
    batch = place.client.post(BATCHES, files=sent, data={"model": model["id"]}, headers=WAIT).json()
    while batch["status"] in ("queued", "running"):
        time.sleep(0.5)
        batch = place.client.get(f"{BATCHES}/{batch['id']}").json()
    assert batch["status"] == "succeeded", batch
    found = place.client.get(f"{BATCHES}/{batch['id']}/results").text.splitlines()
    for one, line in zip(told, map(json.loads, found), strict=True):
        assert line["label"] == one["label"]
        assert line["probability"] == pytest.approx(one["probability"], abs=SAME)


def test_a_damaged_network_is_told_before_a_job(place: Place) -> None:
    place.supplied("llama-q4_0", TEXTS["llama-q4_0"])
    whole = (place.weights_dir / "llama-q4_0.gguf").read_bytes()
    (place.weights_dir / "cut-short.gguf").write_bytes(whole[:9000])
    listed = place.listed()["cut-short"]
    assert not listed["available"]
    assert "cut short" in listed["reason"]
    sent = {"file": ("lines.jsonl", b'{"text": "hello", "label": "a"}')}
    refused = place.client.post("/v1/datasets", files=sent, data={"backbone": "cut-short"})
    assert refused.status_code >= 400
    assert refused.json()["code"] == "weights_invalid"


def test_what_frozen_heads_cannot_see_is_tuned_and_taken(
    place: Place, elsewhere: Bundles, tmp_path: Path
) -> None:
    blind_to_direction(place.weights_dir, "blind")
    dataset = place.uploaded(("stripes.zip", zipped(striped(per_class=30, seed=0))), "blind")
    given = {"depth": "auto", "views": ["squish", "mirror"]}
    method = {"type": "auto", "auto": {"hyperparameters": given}}
    model = place.trained("blind", dataset, method=method, seed=1)
    told = place.client.get(f"/v1/models/{model['id']}/evaluation").json()
    deeper, gain = told["deeper"], told["deeper"]["log_loss"]["gain"]
    assert (deeper["tried"], deeper["taken"]) == ("partial", True), deeper
    assert 0 < gain["low"] < gain["value"]
    assert deeper["log_loss"]["tuned"] < deeper["log_loss"]["frozen"]
    unseen = striped(per_class=10, seed=1)
    answer = _agreeing(place, model, "onnx", elsewhere, tmp_path, unseen)
    right = [one["label"] == path.split("/")[0] for one, path in zip(answer, unseen, strict=True)]
    assert sum(right) > 15  # by chance one in a hundred


def told_of(answer: list[dict[str, Any]], labels: Any) -> Any:
    """The service's probabilities [n, k] in the order of `labels`."""
    by_label = [{one["label"]: one["probability"] for one in row["predictions"]} for row in answer]
    return np.array([[row[label] for label in labels] for row in by_label])
