"""A batch the whole way over HTTP, on both footings: as many answers as pictures, and the same."""

from __future__ import annotations

import csv
import io
import json

from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service
from tests.e2e.test_upload_to_prediction import fine_tune, upload

BATCHES = "/v1/batch_predictions"
WAIT = {"prefer": "wait=120"}


def test_an_archive_and_a_dataset_are_predicted(service: Service) -> None:
    fresh = drawn(per_class=30, seed=31)
    with service.client() as client:
        dataset = upload(client, zipped(drawn(per_class=8, seed=30)))
        job = fine_tune(client, dataset["id"])
        model = job["fine_tuned_model"]
        files = {"file": ("fresh.zip", zipped(fresh | {"broken.png": b"\x89PNG"}))}
        answer = client.post(BATCHES, files=files, data={"model": model}, headers=WAIT)
        assert answer.status_code == 200, answer.text
        batch = answer.json()
        assert batch["status"] == "succeeded", batch
        assert batch["progress"] == {"done": 61, "total": 61, "failed": 1}
        assert batch["embedding"]["new"] >= 60
        found = client.get(f"{BATCHES}/{batch['id']}/results")
        rows = [json.loads(line) for line in found.text.splitlines()]
        assert [row["path"] for row in rows] == [*fresh, "broken.png"]
        assert "error" in rows[-1]
        right = sum(row["label"] == row["path"].split("/")[0] for row in rows[:-1])
        assert right >= 57
        alone = client.post(
            f"/v1/models/{model}/predictions",
            content=fresh["disc/0.png"],
            headers={"content-type": "image/png"},
        ).json()["data"][0]
        assert alone["label"] == rows[0]["label"]
        assert abs(alone["probability"] - rows[0]["probability"]) < 0.02
        table = client.get(f"{BATCHES}/{batch['id']}/results", headers={"accept": "text/csv"})
        assert len(list(csv.DictReader(io.StringIO(table.text)))) == 61
        judged = client.post(
            BATCHES, json={"model": model, "dataset": dataset["id"]}, headers=WAIT
        ).json()
        assert judged["embedding"] == {"new": 0}
        assert judged["evaluation"][0]["accuracy"]["value"] > 0.9
        assert client.delete(f"{BATCHES}/{batch['id']}").status_code == 200
