"""A data folder that a former release made opens, and its models answer what they answered.

`tests/fixtures` has a small one, made by 0.1.0 on a CPU without bf16 units: two datasets, a model
of every method, an alias and a batch; and what that release said of them.
"""

from __future__ import annotations

import base64
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.embedded import start
from app.infra.settings import Settings
from tests.e2e.patience import PatientClient

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
NAME = "data_folder_0.1.0"
TOLERANCE = 0.005
"""Of a probability: its models were fitted in f32, and are answered in it on every CPU."""

Told = dict[str, Any]


@pytest.fixture(scope="module")
def told() -> Told:
    """What the former release answered."""
    found: Told = json.loads((FIXTURES / f"{NAME}.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def client(told: Told, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Today's service on that release's folder, called with that release's key."""
    root = tmp_path_factory.mktemp("former")
    with tarfile.open(FIXTURES / f"{NAME}.tar.xz") as archive:
        archive.extractall(root, filter="data")
    supervisor = start(Settings(data_dir=root / "data"), host="127.0.0.1", port=0)
    headers = {"Authorization": f"Bearer {told['key']}"}
    try:
        with PatientClient(base_url=supervisor.url, headers=headers) as found:
            yield found
    finally:
        supervisor.stop()


def _predict(client: httpx.Client, model: str, inputs: list[dict[str, str]]) -> httpx.Response:
    return client.post(f"/v1/models/{model}/predictions", json={"inputs": inputs})


def _asked(told: Told, method: str) -> list[dict[str, str]]:
    if method.startswith("text"):
        return [{"text": text} for text in told["inputs"]["text"]]
    pictures = (bytes.fromhex(one) for one in told["inputs"]["image"])
    return [{"image": base64.b64encode(one).decode()} for one in pictures]


@pytest.mark.parametrize(
    "method",
    [
        "auto",
        "logistic",
        "linear",
        "ridge",
        "lda",
        "prototypical",
        "matching",
        "reptile",
        "text",
        "text_logistic",
    ],
)
def test_a_model_answers_what_it_answered(client: httpx.Client, told: Told, method: str) -> None:
    before = told["answers"][method]
    answer = _predict(client, before["model"], _asked(told, method))
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-headstart-precision"] == told["precision"] == "openvino-f32"
    detail = client.get(f"/v1/models/{before['model']}").json()
    assert detail["precision"] == {"fitted": "openvino-f32", "served": "openvino-f32"}
    for now, then in zip(answer.json()["data"], before["data"], strict=True):
        assert (now["label"], now["unknown"]) == (then["label"], then["unknown"])
        theirs = {one["label"]: one["probability"] for one in then["predictions"]}
        for one in now["predictions"]:
            assert one["probability"] == pytest.approx(theirs[one["label"]], abs=TOLERANCE)


def test_evaluations_jobs_alias_and_batch_are_what_they_were(
    client: httpx.Client, told: Told
) -> None:
    for before in told["answers"].values():
        now = client.get(f"/v1/models/{before['model']}/evaluation").json()
        assert {name: now.get(name) for name in before["evaluation"]} == before["evaluation"]
        job = client.get(f"/v1/fine_tuning/jobs/{before['job']}").json()
        assert (job["status"], job["fine_tuned_model"]) == ("succeeded", before["model"])
    alias = client.get("/v1/aliases/shapes@production").json()
    assert alias["model"] == told["answers"]["auto"]["model"]
    batch = client.get(f"/v1/batch_predictions/{told['batch']}/results")
    assert batch.text == told["results"]


def test_what_was_embedded_is_not_embedded_again(client: httpx.Client, told: Told) -> None:
    dataset = client.get(f"/v1/datasets/{told['datasets'][0]}").json()
    assert dataset["status"] == "ready"
    job = client.post(
        "/v1/fine_tuning/jobs",
        json={"model": "efficientnet_lite0", "training_file": dataset["id"], "seed": 7},
        headers={"Prefer": "wait=100"},
    ).json()
    assert job["status"] == "succeeded", job
