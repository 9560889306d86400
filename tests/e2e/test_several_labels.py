"""Several labels a picture over HTTP: upload, job, predictions, bundle, batch, and back again."""

from __future__ import annotations

import base64
import csv
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from tests.archives import zipped
from tests.e2e.conftest import Service

WAIT = {"Prefer": "wait=100"}
LABELS = ("square", "stripes", "tint")


def picture(marks: tuple[bool, ...], seed: int) -> bytes:
    """A picture with any of a square, stripes and a tint on it."""
    random = np.random.default_rng(seed)
    ground = np.kron(random.integers(-12, 13, (8, 8, 1)), np.ones((12, 12, 1), int))
    pixels = random.integers(90, 130, (96, 96, 3)) + ground  # no picture is another's near copy
    if marks[2]:
        pixels[..., 0] += 70
    if marks[1]:
        pixels[:: int(random.integers(5, 8))] = 20
    if marks[0]:
        top, left = random.integers(4, 40, 2)
        pixels[top : top + 44, left : left + 44] = (250, 250, 250)
    out = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def marks_of(number: int) -> tuple[bool, ...]:
    return tuple(bool(number >> at & 1) for at in range(3))


def archive(per_combination: int) -> bytes:
    """Every combination of labels as often, with a metadata.jsonl."""
    files, rows = {}, []
    for at in range(8 * per_combination):
        marks = marks_of(at % 8)
        labels = [label for label, has in zip(LABELS, marks, strict=True) if has]
        files[f"{at}.png"] = picture(marks, at)
        rows.append(json.dumps({"path": f"{at}.png", "labels": labels}))
    return zipped({**files, "metadata.jsonl": "\n".join(rows).encode()})


def upload(client: httpx.Client, data: bytes, name: str = "set.zip", **form: Any) -> dict[str, Any]:
    answer = client.post(
        "/v1/datasets",
        files={"file": (name, data)},
        data=form,
        headers=WAIT,
    )
    assert answer.status_code == 201, answer.text
    dataset = dict(answer.json())
    assert dataset["status"] == "ready", dataset
    return dataset


def fine_tune(client: httpx.Client, dataset: str, **fields: Any) -> dict[str, Any]:
    body = {"model": "efficientnet_lite0", "training_file": dataset, **fields}
    answer = client.post("/v1/fine_tuning/jobs", json=body, headers=WAIT)
    assert answer.status_code in (200, 201, 202), answer.text
    job = dict(answer.json())
    assert job["status"] == "succeeded", job
    return job


def ask(client: httpx.Client, model: str, data: bytes, **query: Any) -> dict[str, Any]:
    answer = client.post(
        f"/v1/models/{model}/predictions",
        params=query,
        content=data,
        headers={"content-type": "image/png"},
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"][0])


def test_several_labels_go_the_whole_way(service: Service, tmp_path: Path) -> None:
    with service.client() as client:
        dataset = upload(client, archive(6))
        assert dataset["label_mode"] == "multi_label"
        assert (dataset["num_examples"], dataset["num_negatives"]) == (48, 6)
        assert [one["count"] for one in dataset["classes"]] == [24, 24, 24]
        job = fine_tune(client, dataset["id"], suffix="several")
        model = job["fine_tuned_model"]
        _evaluated(client, model)
        _predicted(client, model)
        _exported(client, model, tmp_path)
        _batched(client, model, dataset["id"])
        _inferred(client, model)
        _asked_by_others(client, model)


def _evaluated(client: httpx.Client, model: str) -> None:
    said = client.get(f"/v1/models/{model}/evaluation").json()
    assert said["label_mode"] == "multi_label"
    assert said["mean_average_precision"]["value"] > 0.9
    for one in said["per_class"]:
        assert one["precision"]["low"] <= one["precision"]["value"] <= one["precision"]["high"]
        assert 0 < one["threshold"] < 1
    assert client.get(f"/v1/models/{model}").json()["label_mode"] == "multi_label"


def _predicted(client: httpx.Client, model: str) -> None:
    right = 0
    for number in range(8):
        marks = marks_of(number)
        item = ask(client, model, picture(marks, 1000 + number))
        assert {one["label"] for one in item["predictions"]} == set(LABELS)
        right += sum(
            (label in item["labels"]) == has for label, has in zip(LABELS, marks, strict=True)
        )
    assert right >= 21, right
    everything = picture((True, True, True), 77)
    assert ask(client, model, everything, threshold="0")["labels"]
    assert ask(client, model, everything, threshold="1")["labels"] == []
    only = ask(client, model, everything, threshold="1", thresholds='{"square": 0.0}')
    assert only["labels"] == ["square"]
    near = ask(client, model, everything, explain="neighbours,saliency")
    assert all(isinstance(one["labels"], list) for one in near["neighbours"])
    unknown = client.post(
        f"/v1/models/{model}/predictions",
        params={"thresholds": '{"cube": 0.5}'},
        content=everything,
        headers={"content-type": "image/png"},
    )
    assert (unknown.status_code, unknown.json()["param"]) == (422, "thresholds")


def _exported(client: httpx.Client, model: str, folder: Path) -> None:
    answer = client.get(f"/v1/models/{model}/artifacts/openvino", headers=WAIT)
    assert answer.status_code == 200, answer.text
    zipfile.ZipFile(io.BytesIO(answer.content)).extractall(folder / "bundle")
    data = picture((True, False, True), 5)
    (folder / "one.png").write_bytes(data)
    (script,) = (folder / "bundle").glob("*/run.py")
    done = subprocess.run(
        [sys.executable, "-I", str(script), str(folder / "one.png")],
        capture_output=True,
        text=True,
        check=True,
    )
    labels = done.stdout.split("\t")[1]
    assert sorted(filter(None, labels.split(","))) == sorted(ask(client, model, data)["labels"])


def _batched(client: httpx.Client, model: str, dataset: str) -> None:
    body = {"model": model, "dataset": dataset, "thresholds": {"tint": 0.9}}
    made = client.post("/v1/batch_predictions", json=body, headers=WAIT).json()
    assert made["status"] == "succeeded", made
    assert made["thresholds"] == {"tint": 0.9}
    (figures,) = made["evaluation"]
    assert (figures["label_mode"], figures["num_examples"]) == ("multi_label", 48)
    assert figures["micro_f1"]["value"] > 0.9
    lines = client.get(made["results"]["jsonl"]).text.splitlines()
    assert isinstance(json.loads(lines[0])["labels"], list)
    rows = list(csv.DictReader(io.StringIO(client.get(made["results"]["csv"]).text)))
    assert json.loads(rows[7]["expected"]) == list(LABELS)


def _inferred(client: httpx.Client, model: str) -> None:
    data = base64.b64encode(picture((True, True, True), 3)).decode()
    document = {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [data]}]}
    answer = client.post(f"/v2/models/{model}/infer", json=document).json()
    outputs = {one["name"]: one["data"] for one in answer["outputs"]}
    assert set(json.loads(outputs["labels"][0])) <= set(LABELS)
    assert client.get(f"/v2/models/{model}").json()["parameters"]["thresholds"].keys() == set(
        LABELS
    )


def _asked_by_others(client: httpx.Client, model: str) -> None:
    data = picture((True, False, True), 9)
    own = {one["label"]: one["probability"] for one in ask(client, model, data)["predictions"]}

    def asked(function: str) -> httpx.Response:
        parameters = {"function_to_apply": function}
        body = {"inputs": base64.b64encode(data).decode(), "parameters": parameters}
        return client.post(f"/models/{model}", json=body)

    assert {one["label"]: one["score"] for one in asked("sigmoid").json()} == own
    odds = {one["label"]: one["score"] for one in asked("none").json()}
    assert all((odds[label] > 0) == (share > 0.5) for label, share in own.items())
    assert asked("softmax").status_code == 422


def test_versions_forms_and_refusals(service: Service) -> None:
    with service.client() as client:
        dataset = upload(client, archive(2))
        path = f"/v1/datasets/{dataset['id']}"
        first = client.get(f"{path}/examples", params={"label": "tint"}).json()["data"][0]
        assert "tint" in first["labels"]
        changed = client.patch(f"{path}/examples/{first['id']}", json={"labels": []}, headers=WAIT)
        assert changed.json()["num_negatives"] == dataset["num_negatives"] + 1
        wrong = client.patch(f"{path}/examples/{first['id']}", json={"label": "tint"})
        assert (wrong.status_code, wrong.json()["param"]) == (422, "label")
        for form in ("folder", "csv", "jsonl", "coco", "label_studio", "parquet"):
            _again(client, path, form, client.get(path).json())
        lda = {"type": "lda"}
        refused = client.post(
            "/v1/fine_tuning/jobs",
            json={"model": "efficientnet_lite0", "training_file": dataset["id"], "method": lda},
        )
        assert (refused.status_code, refused.json()["code"]) == (422, "label_mode_mismatch")


def _again(client: httpx.Client, path: str, form: str, dataset: dict[str, Any]) -> None:
    data = client.get(f"{path}/versions/{dataset['version']}/export", params={"format": form})
    assert data.status_code == 200, data.text
    name = "set.parquet" if form == "parquet" else "set.tar"
    again = client.post(
        "/v1/datasets", params={"validate_only": "true"}, files={"file": (name, data.content)}
    )
    told = again.json()
    assert again.status_code == 200, (form, told)
    assert told["label_mode"] == "multi_label", form
    assert (told["classes"], told["num_negatives"]) == (
        dataset["classes"],
        dataset["num_negatives"],
    ), (form, told)
