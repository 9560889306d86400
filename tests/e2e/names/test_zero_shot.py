"""Classes without any example are a model on a network that reads names; then a few are added."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import torch
from PIL import Image

from tests import tiny_clip
from tests.e2e.archives import zipped
from tests.e2e.conftest import served
from tests.tiny_clip import NAMES

CLIP = "tiny-clip"
WAIT = {"Prefer": "wait=120"}


def pictures(per_class: int, seed: int) -> dict[str, bytes]:
    """PNG files by `<class>/<number>.png`."""
    labels = torch.arange(len(NAMES)).repeat(per_class)
    drawn = tiny_clip.drawn(labels, seed, noise=0.2).numpy()
    made = {}
    for place, (label, pixels) in enumerate(zip(labels.tolist(), drawn, strict=True)):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        made[f"{NAMES[label]}/{seed}_{place}.png"] = file.getvalue()
    return made


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    data_dir, weights_dir = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("weights")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    tiny_clip.save(tiny_clip.trained(), weights_dir / CLIP)
    torch.set_num_threads(threads)
    with served(data_dir, weights_dir) as made:
        yield made


def declared(client: httpx.Client, **fields: str) -> Any:
    told = {"classes": json.dumps(NAMES), "modality": "image", **fields}
    answer = client.post("/v1/datasets", files={k: (None, v) for k, v in told.items()})
    assert answer.status_code == 201, answer.text
    return answer.json()


def trained(client: httpx.Client, dataset: str, **more: Any) -> Any:
    body = {"model": CLIP, "training_file": dataset, **more}
    job = client.post("/v1/fine_tuning/jobs", json=body, headers=WAIT).json()
    assert job["status"] == "succeeded", job
    return job


def right(client: httpx.Client, model: str, seed: int) -> float:
    unseen = pictures(8, seed)
    files = [("files", (path, data, "image/png")) for path, data in unseen.items()]
    answer = client.post(f"/v1/models/{model}/predictions", files=files).json()
    hits = [
        one["label"] == path.split("/")[0] for one, path in zip(answer["data"], unseen, strict=True)
    ]
    assert not any(one["unknown"] for one in answer["data"])
    return sum(hits) / len(hits)


def test_from_names_to_a_few_examples(client: httpx.Client) -> None:
    dataset = declared(client, name="shapes")
    assert dataset["status"] == "ready"
    assert dataset["num_examples"] == 0
    assert dataset["classes"] == [{"label": name, "count": 0} for name in sorted(NAMES)]
    job = trained(client, dataset["id"])
    model = job["fine_tuned_model"]
    told = client.get(f"/v1/models/{model}/evaluation").json()
    assert (told["estimable"], told["how"]["num_examples"]) == (False, 0)
    assert "no example to judge it by" in told["reason"]
    alone = right(client, model, 900)
    assert alone > 3 / len(NAMES)
    events = client.get(f"/v1/fine_tuning/jobs/{job['id']}/events").json()["data"]
    assert any("names alone decide" in one["message"] for one in events)

    client.put("/v1/aliases/shapes@live", json={"model": model}).raise_for_status()
    assert right(client, "shapes@live", 900) == alone
    bundle = client.get(f"/v1/models/{model}/artifacts/onnx", headers={"Prefer": "wait=150"})
    assert bundle.status_code == 200, bundle.text

    files = {"file": ("few.zip", zipped(pictures(4, 5)))}
    path = f"/v1/datasets/{dataset['id']}/examples"
    grown = client.post(path, files=files, headers=WAIT).json()
    assert (grown["status"], grown["num_examples"]) == ("ready", 4 * len(NAMES))
    few = trained(client, dataset["id"])["fine_tuned_model"]
    card = client.get(f"/v1/models/{few}").json()["card"]
    assert 0 < card["hyperparameters"]["names_weight"] < 1
    assert client.get(f"/v1/models/{few}/evaluation").json()["accuracy"]["value"] > 0.3


def test_a_held_out_file_judges_names(client: httpx.Client) -> None:
    dataset = declared(client)
    files = {"file": ("held.zip", zipped(pictures(5, 6)))}
    held = client.post("/v1/datasets", files=files, data={"backbone": CLIP}, headers=WAIT).json()
    prompts = {"hyperparameters": {"prompts": ["a picture of a {}."]}}
    job = trained(
        client, dataset["id"], validation_file=held["id"], method={"type": "auto", "auto": prompts}
    )
    told = client.get(f"/v1/models/{job['fine_tuned_model']}/evaluation").json()
    assert told["how"]["method"] == "hold-out"
    assert told["how"]["num_examples"] == 5 * len(NAMES)
    assert told["accuracy"]["value"] > 3 / len(NAMES)
    batch = client.post(
        "/v1/batch_predictions",
        json={"model": job["fine_tuned_model"], "dataset": held["id"]},
        headers=WAIT,
    ).json()
    assert batch["status"] == "succeeded", batch


def test_what_reads_no_names_needs_examples(client: httpx.Client) -> None:
    dataset = declared(client)
    for model, method in (("efficientnet_lite0", "auto"), (CLIP, "ridge")):
        body = {"model": model, "training_file": dataset["id"], "method": {"type": method}}
        answer = client.post("/v1/fine_tuning/jobs", json=body)
        assert answer.status_code == 422
        assert answer.json()["code"] == "insufficient_classes"
        assert answer.json()["param"] == "training_file"
