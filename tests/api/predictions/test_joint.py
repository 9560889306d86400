"""Several models on the same inputs: each answers as it does alone, and one pass serves them."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any

import httpx
import pytest

from app.core.messages import Target
from tests import serving_kit as kit
from tests.api.predictions.conftest import Serving, register
from tests.api.predictions.test_predictions import post, problem
from tests.api.service import Service
from tests.factories import make_key

pytestmark = pytest.mark.slow

URL = "/v1/predictions"
IMAGES = [data for data, _ in kit.digit_pngs(2, skip=60)]
OFF = {"x-headstart-cache": "off"}


@pytest.fixture(scope="module")
def others(serving: Serving, service: Service) -> dict[str, str]:
    """Models of the same backbone: one on other views, one on the same, one that reads texts."""
    stored: dict[str, Target] = {
        "views": kit.store_model(
            serving.settings, organisation="default", name="j1", views=("mirror", "squish")
        ).target,
        "same": kit.store_model(serving.settings, organisation="default", name="j2", seed=3).target,
        "text": kit.store_text_model(serving.settings, organisation="default", name="j3"),
    }
    for name, target in stored.items():
        modality = "text" if name == "text" else "image"
        register(service.services.sessions, target, name=target.model, modality=modality)
    return {name: target.model for name, target in stored.items()}


def listed(*images: bytes) -> list[dict[str, str]]:
    return [{"image": b64encode(data).decode()} for data in images]


def passes(service: Service) -> tuple[float, float]:
    """Forward passes so far, and the inputs in them."""
    operator = make_key(service.services.sessions, "operators", ["operator"])
    with service.client(operator) as reader:
        text = reader.get("/metrics").text
    found = dict(re.findall(r"headstart_predictor_batch_size_(count|sum) ([0-9.e+]+)", text))
    return float(found["count"]), float(found["sum"])


def test_each_answers_as_it_does_alone(
    client: httpx.Client, model: str, others: dict[str, str]
) -> None:
    names = [others["views"], model, others["same"]]
    body = post(client, URL, json={"models": names, "inputs": listed(*IMAGES)}, headers=OFF)
    assert [answer["model"] for answer in body["data"]] == names
    for name, answer in zip(names, body["data"], strict=True):
        alone = post(
            client, f"/v1/models/{name}/predictions", json={"inputs": listed(*IMAGES)}, headers=OFF
        )
        assert _near(answer, alone)


def _near(one: dict[str, Any], two: dict[str, Any]) -> bool:
    """Whether the same numbers stand in both, but for how a batch of another size rounds."""
    pairs = zip(one["data"], two["data"], strict=True)
    return all(
        a["label"] == b["label"] and a["probability"] == pytest.approx(b["probability"], abs=0.01)
        for a, b in pairs
    )


def test_one_pass_serves_every_head(
    client: httpx.Client, service: Service, model: str, others: dict[str, str]
) -> None:
    body = {"models": [model, others["same"]], "inputs": listed(IMAGES[0])}
    post(client, URL, json=body, headers=OFF)
    before = passes(service)
    post(client, URL, json=body, headers=OFF)
    after = passes(service)
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


def test_a_head_whose_answer_is_known_is_not_asked_again(
    client: httpx.Client, model: str, others: dict[str, str]
) -> None:
    image = kit.digit_pngs(1, skip=70)[0][0]
    alone = post(client, f"/v1/models/{model}/predictions", json={"inputs": listed(image)})
    answer = client.post(URL, json={"models": [others["same"], model], "inputs": listed(image)})
    assert answer.json()["data"][1]["data"] == alone["data"]
    assert 'cache;desc="1 of 2"' in answer.headers["server-timing"]


def test_a_raw_image_and_files_name_their_models_in_the_query(
    client: httpx.Client, model: str, others: dict[str, str]
) -> None:
    params = {"models": [model, others["views"]], "top_k": 1}
    raw = client.post(URL, params=params, content=IMAGES[0], headers={"content-type": "image/png"})
    assert raw.status_code == 200, raw.text
    form = client.post(URL, params=params, files=[("files", ("a.png", IMAGES[0]))])
    assert form.json()["data"] == [
        {**answer, "id": form.json()["id"]} for answer in raw.json()["data"]
    ]
    assert [len(one["data"][0]["predictions"]) for one in raw.json()["data"]] == [1, 1]


def test_one_model_is_a_list_of_one(client: httpx.Client, model: str) -> None:
    body = post(client, URL, json={"models": [model], "inputs": listed(IMAGES[0])})
    assert [answer["model"] for answer in body["data"]] == [model]
    assert body["data"][0]["id"] == body["id"]


def test_a_bad_input_is_every_models_error_and_a_bad_raw_one_the_requests(
    client: httpx.Client, model: str, others: dict[str, str]
) -> None:
    names = [model, others["views"]]
    body = post(client, URL, json={"models": names, "inputs": listed(b"none", IMAGES[1])})
    for answer in body["data"]:
        assert answer["data"][0]["error"]["code"] == "image_invalid"
        assert answer["data"][1]["label"]
    raw = client.post(
        URL, params={"models": names}, content=b"none", headers={"content-type": "image/png"}
    )
    assert problem(raw) == (422, "image_invalid")


def test_what_cannot_be_asked_together_is_refused_by_name(
    client: httpx.Client, model: str, others: dict[str, str]
) -> None:
    inputs = listed(IMAGES[0])
    for names, expected, param in (
        ([model, "nonesuch"], (404, "not_found"), "models.1"),
        ([model, others["text"]], (422, "modality_mismatch"), "models.1"),
        ([], (422, "invalid_request"), "models"),
        ([model] * 33, (422, "invalid_request"), "models"),
        ([model, "a b"], (422, "invalid_request"), "models.1"),
        ("one", (422, "invalid_request"), "models"),
    ):
        answer = client.post(URL, json={"models": names, "inputs": inputs})
        assert problem(answer) == expected, names
        assert answer.json()["param"] == param
    no_maps = client.post(URL, params={"explain": "saliency"}, json={"models": [model]})
    assert problem(no_maps) == (422, "invalid_request")


def test_anothers_model_is_not_there(
    service: Service, model: str, others: dict[str, str], other_client: httpx.Client
) -> None:
    answer = other_client.post(URL, json={"models": [model], "inputs": listed(IMAGES[0])})
    assert problem(answer) == (404, "not_found")
    reader = make_key(service.services.sessions, scopes=["read"])
    with service.client(reader) as caller:
        refused = caller.post(URL, json={"models": [model], "inputs": listed(IMAGES[0])})
        assert problem(refused) == (403, "forbidden")


def test_texts_are_asked_jointly_too(client: httpx.Client, others: dict[str, str]) -> None:
    inputs = [{"text": "where is my card"}]
    body = post(client, URL, json={"models": [others["text"]] * 2, "inputs": inputs})
    assert [one["data"][0]["label"] for one in body["data"]] == ["card", "card"]
