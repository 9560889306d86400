"""Pictures under two backbones over HTTP: a model of both, its batches and its bundles."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from tests.e2e.conftest import Service
from tests.e2e.test_batches import BATCHES
from tests.e2e.test_upload_to_prediction import fine_tune, upload
from tests.worker_kit import picture, pictures

LITE = ["efficientnet_lite0", "efficientnet_lite2"]


def archive(per_class: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for path, _, data in pictures(per_class, 3):
            made.writestr(path, data)
    return out.getvalue()


def test_a_model_of_two_networks_is_served_in_bulk_and_as_bundles(service: Service) -> None:
    with service.client() as client:
        dataset = upload(client, archive(4))
        job = fine_tune(client, dataset["id"], model=LITE)
        assert job["model"] == "+".join(LITE)
        model = str(job["fine_tuned_model"])
        told = client.get(f"/v1/models/{model}").json()
        assert told["prediction"]["backbones"] == LITE
        assert told["prediction"]["passes"] == 2
        asked = [picture(900 + number, number) for number in range(3)]
        files = [("files", (f"{n}.png", data)) for n, data in enumerate(asked)]
        items = client.post(f"/v1/models/{model}/predictions", files=files).json()["data"]
        assert [one["label"] for one in items] == ["c0", "c1", "c2"]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as made:
            for number, data in enumerate(asked):
                made.writestr(f"{number}.png", data)
        batch = client.post(
            BATCHES,
            files={"file": ("asked.zip", packed.getvalue())},
            data={"model": model},
            headers={"Prefer": "wait=100"},
        ).json()
        assert batch["status"] == "succeeded", batch
        lines = client.get(f"{BATCHES}/{batch['id']}/results").text.splitlines()
        for line, item in zip(map(json.loads, lines), items, strict=True):
            assert line["label"] == item["label"]
            assert line["probability"] == pytest.approx(item["probability"], abs=0.02)
        answer = client.get(f"/v1/models/{model}/artifacts/onnx", headers={"Prefer": "wait=100"})
        assert answer.status_code == 200, answer.text
        with zipfile.ZipFile(io.BytesIO(answer.content)) as bundle:
            names = {name.rpartition("/")[2]: name for name in bundle.namelist()}
            card = json.loads(bundle.read(names["model.json"]))
            proof = json.loads(bundle.read(names["parity.json"]))
        assert [one["size"] for one in card["export"]["inputs"]] == [224, 260]
        assert proof["same_precision"]["max_abs_probability_difference"] <= 0.005
