"""Calibration over HTTP, with a real predictor: what is set, kept, shown, refused and undone."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import load
from sklearn.datasets import load_digits

from app.core.held_out import FILE
from app.infra.database import transaction
from app.infra.orm import ModelRow
from app.infra.storage import open_storage
from tests import serving_kit as kit
from tests.api.predictions.conftest import Serving, register
from tests.api.service import Service
from tests.archives import zipped
from tests.factories import make_key
from worker.formats import models

pytestmark = pytest.mark.slow


@pytest.fixture
def name(service: Service, serving: Serving, request: pytest.FixtureRequest) -> str:
    """A model of its own, with its card and answers to forty held-out examples."""
    told = f"cal{abs(hash(request.node.name)) % 10**8}"
    target = kit.store_model(serving.settings, organisation="default", name=told).target
    target = replace(target, model=f"ft:efficientnet_lite0:default::{told}")
    register(service.services.sessions, target, name=target.model)
    storage = open_storage(serving.settings)
    with transaction(service.services.sessions) as session:
        row = session.get_one(ModelRow, target.model)
        row.card = json.loads(storage.fetch(f"{target.artifact}/model.json").read_bytes())
        row.accuracy = {"value": 0.9, "low": 0.8, "high": 0.95}
    path = serving.settings.data_dir / "answers.jsonl"
    answer: dict[str, Any] = {"expected": "0", "expected_probability": 0.9, "predictions": []}
    lines = [
        {"example_id": f"ex_{at}", "label": "0" if at % 10 else "1", "probability": 0.9, **answer}
        for at in range(40)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    storage.put(f"{target.artifact}/{FILE}", path)
    return target.model


def pictures(count: int, *, darker: float = 0.6) -> list[bytes]:
    """Digits of the model's classes, as another camera takes them."""
    digits = load_digits()
    rows = np.flatnonzero(digits.target < 3)[100 : 100 + count]
    return [kit.png(digits.images[row] * 15.9 * darker) for row in rows]


def body(images: list[bytes]) -> dict[str, Any]:
    return {"inputs": [{"image": b64encode(image).decode()} for image in images]}


def unknown(client: httpx.Client, name: str, images: list[bytes]) -> float:
    data = client.post(f"/v1/models/{name}/predictions", json=body(images)).json()["data"]
    return float(np.mean([one["unknown"] for one in data]))


def calibrate(client: httpx.Client, name: str, **request: Any) -> dict[str, Any]:
    answer = client.post(f"/v1/models/{name}/calibrate", **request)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_the_stated_rate_holds_at_the_new_source_until_it_is_undone(
    client: httpx.Client, service: Service, serving: Serving, name: str
) -> None:
    seen, further = pictures(200)[:100], pictures(200)[100:]
    before, unseen = unknown(client, name, further), unknown(client, name, seen)
    plain = client.get(f"/v1/models/{name}").json()
    assert plain["calibration"] is None
    told = calibrate(client, name, json=body(seen), params={"known": "true"})
    assert told["calibrated"] is True
    assert (told["model"], told["num_inputs"], told["failed"]) == (name, 100, 0)
    assert told["unknown"]["before"] == unseen
    assert told["copies"] == 0
    assert unknown(client, name, further) <= 0.15
    assert told["accuracy"]["evaluated"]["value"] == 0.9
    assert 0 <= told["accuracy"]["estimate"]["value"] <= 1
    shown = client.get(f"/v1/models/{name}").json()
    assert {**told, "object": "model.calibration"} == shown["calibration"]
    check_files(service, serving, name)
    undone = client.delete(f"/v1/models/{name}/calibrate").json()
    assert undone == told
    assert unknown(client, name, further) == before
    again = client.get(f"/v1/models/{name}").json()
    assert again["calibration"] is None
    assert again["card"]["config"] == plain["card"]["config"]
    assert client.delete(f"/v1/models/{name}/calibrate").status_code == 404


def check_files(service: Service, serving: Serving, name: str) -> None:
    """The stored revision is whole: what it says of itself, its tensors, its answers."""
    storage = open_storage(serving.settings)
    with transaction(service.services.sessions) as session:
        row = session.get_one(ModelRow, name)
        stored = models.load(storage, row.artifact, row.sha256)
        assert stored.card == row.card
        assert storage.fetch(f"{row.artifact}/{FILE}").exists()
        assert load(storage.fetch(f"{row.artifact}/{models.HEAD}").read_bytes()).keys()


def test_calibrating_twice_is_undone_at_once(client: httpx.Client, name: str) -> None:
    before = client.get(f"/v1/models/{name}").json()["card"]["config"]
    for darker in (0.8, 0.5):
        calibrate(client, name, json=body(pictures(40, darker=darker)), params={"known": "true"})
    assert client.get(f"/v1/models/{name}").json()["card"]["config"] != before
    client.delete(f"/v1/models/{name}/calibrate")
    assert client.get(f"/v1/models/{name}").json()["card"]["config"] == before


def test_inputs_like_nothing_learned_set_nothing_unless_they_are_said_to_be_known(
    client: httpx.Client, name: str
) -> None:
    noise = np.random.default_rng(0)
    strange = [kit.png(noise.random((64, 64)) * 255) for _ in range(40)]
    told = calibrate(client, name, json=body(strange))
    assert told["calibrated"] is False
    assert told["unknown"]["before"] > 0.5
    assert "other classes" in told["warning"]
    assert client.get(f"/v1/models/{name}").json()["calibration"] is None
    said = calibrate(client, name, json=body(strange), params={"known": "true"})
    assert said["calibrated"] is True
    assert said["warning"] == told["warning"]


def test_what_was_calibrated_opens_no_door_for_the_next(client: httpx.Client, name: str) -> None:
    noise = np.random.default_rng(0)
    strange = [kit.png(noise.random((64, 64)) * 255) for _ in range(40)]
    first = calibrate(client, name, json=body(strange) | {"known": True})
    assert first["calibrated"] is True
    assert unknown(client, name, strange) < 0.2
    again = calibrate(client, name, json=body(strange))
    assert again["calibrated"] is False
    assert again["unknown"] == first["unknown"]
    assert "other classes" in again["warning"]


def test_copies_say_nothing_more_of_a_source(client: httpx.Client, name: str) -> None:
    path = f"/v1/models/{name}/calibrate"
    same = client.post(path, json=body(pictures(1) * 40) | {"known": True})
    assert (same.status_code, same.json()["param"]) == (422, "inputs")
    assert "1 of them readable and different" in same.json()["message"]
    told = calibrate(client, name, json=body(pictures(35) * 2) | {"known": True})
    assert (told["num_inputs"], told["copies"]) == (35, 35)
    assert told["warning"] is None
    noise, still = np.random.default_rng(0), load_digits().images[0] * 15
    burst = [kit.png(still + noise.integers(0, 2, still.shape)) for _ in range(60)]
    alike = calibrate(client, name, json=body(burst) | {"known": True})
    assert "hardly differ" in alike["warning"]


def test_the_document_is_read_as_a_whole(client: httpx.Client, name: str) -> None:
    path = f"/v1/models/{name}/calibrate"
    for more, param in (({"known": "yes"}, "known"), ({"knwon": True}, "knwon")):
        refused = client.post(path, json=body(pictures(30)) | more)
        assert (refused.status_code, refused.json()["param"]) == (422, param)
    archive = zipped({f"{at}.png": one for at, one in enumerate(pictures(30))})
    for sent in (
        {"files": [("files", ("a.zip", archive, "application/zip"))]},
        {"content": archive, "headers": {"content-type": "application/octet-stream"}},
    ):
        refused = client.post(path, **sent)
        assert refused.status_code == 422
        assert "curl -F files=@" in refused.json()["message"]


def test_with_the_model_go_its_former_thresholds(
    client: httpx.Client, service: Service, serving: Serving, name: str
) -> None:
    with transaction(service.services.sessions) as session:
        folder = session.get_one(ModelRow, name).artifact.rpartition("/")[0]
    storage = open_storage(serving.settings)
    for _ in range(2):
        calibrate(client, name, json=body(pictures(30)), params={"known": "true"})
    assert len({key.rpartition("/")[0] for key in storage.keys(folder)}) == 3
    told = client.delete(f"/v1/models/{name}").json()
    assert told["deletion"]["status"] == "done"
    assert list(storage.keys(folder)) == []


def test_files_of_a_form_and_bad_ones_among_them(client: httpx.Client, name: str) -> None:
    sent = [("files", (f"{at}.png", one)) for at, one in enumerate([*pictures(35), b"no picture"])]
    told = calibrate(client, name, files=sent, params={"known": "true"})
    assert (told["num_inputs"], told["failed"]) == (35, 1)


def test_what_is_refused(client: httpx.Client, service: Service, name: str) -> None:
    path = f"/v1/models/{name}/calibrate"
    few = client.post(path, json=body(pictures(5)))
    assert (few.status_code, few.json()["code"]) == (422, "invalid_request")
    assert few.json()["param"] == "inputs"
    assert client.post(path, json={"inputs": []}).status_code == 422
    nobody = client.post("/v1/models/nobody/calibrate", json=body(pictures(30)))
    assert nobody.json()["code"] == "not_found"
    for scope in ("read", "predict"):
        key = make_key(service.services.sessions, scopes=[scope])
        with service.client(key) as other:
            assert other.post(path, json=body(pictures(30))).status_code == 403
            assert other.delete(path).status_code == 403
    with service.client(make_key(service.services.sessions, "strangers")) as other:
        assert other.post(path, json=body(pictures(30))).json()["code"] == "not_found"
        assert other.delete(path).json()["code"] == "not_found"


def test_without_held_out_answers_the_accuracy_has_a_reason(
    client: httpx.Client, serving: Serving, service: Service, name: str
) -> None:
    with transaction(service.services.sessions) as session:
        prefix = session.get_one(ModelRow, name).artifact
    open_storage(serving.settings).delete(f"{prefix}/{FILE}")
    told = calibrate(client, name, json=body(pictures(30)), params={"known": "true"})
    assert told["accuracy"]["estimate"] is None
    assert "held-out" in told["accuracy"]["reason"]
