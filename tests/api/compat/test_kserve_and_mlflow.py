"""KServe's first protocol and MLflow's scoring server, by requests as their clients send them."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import httpx
import pytest

from tests import serving_kit as kit
from tests.api.predictions.test_predictions import post

pytestmark = pytest.mark.slow

PNG, LABEL = kit.digit_pngs(1, skip=30)[0]
ENCODED = b64encode(PNG).decode()
CARD, PASSWORD = "where is my card", "I forgot the password"


@pytest.mark.parametrize("name", ["instances", "inputs"])
def test_kserve_predicts_each_instance(client: httpx.Client, words: str, name: str) -> None:
    body = {name: [CARD, {"text": PASSWORD}]}
    (card, password) = post(client, f"/v1/models/{words}:predict", json=body)["predictions"]
    assert (card["label"], password["label"]) == ("card", "password")
    assert card["probability"] == max(card["probabilities"].values())
    assert card["unknown"] in (True, False)


@pytest.mark.parametrize(
    "instance",
    [ENCODED, {"b64": ENCODED}, {"image_bytes": {"b64": ENCODED}}, {"image": {"b64": ENCODED}}],
)
def test_kserve_reads_images_as_they_are_sent(
    client: httpx.Client, model: str, instance: Any
) -> None:
    answer = post(client, f"/v1/models/{model}:predict", json={"instances": [instance]})
    assert answer["predictions"][0]["label"] == LABEL


def test_kserve_lets_pass_what_its_clients_say(client: httpx.Client, words: str) -> None:
    for more in ({"parameters": None}, {"parameters": {}}, {"signature_name": "serving_default"}):
        answer = post(client, f"/v1/models/{words}:predict", json={"instances": [CARD], **more})
        assert answer["predictions"][0]["label"] == "card"


def test_kserve_asks_whether_a_model_is_ready(client: httpx.Client, words: str) -> None:
    told = client.get(f"/v1/models/{words}").json()
    assert told["ready"] is True
    assert told["name"] == told["id"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"instances": []},
        {"instances": [7]},
        {"instances": ["a"], "inputs": ["b"]},
        {"instances": [{"a": "x", "b": "y"}]},
        {"instances": [CARD], "parameters": {"threshold": 0.5}},
        {"instances": [CARD], "threshold": 0.5},
    ],
)
def test_kserve_is_told_in_words(client: httpx.Client, words: str, body: Any) -> None:
    answer = client.post(f"/v1/models/{words}:predict", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("invalid_request: ")


FORMS = [
    {"dataframe_split": {"columns": ["text"], "data": [[CARD], [PASSWORD]]}},
    {"dataframe_split": {"index": [0, 1], "columns": ["text"], "data": [[CARD], [PASSWORD]]}},
    {"dataframe_records": [{"text": CARD}, {"text": PASSWORD}]},
    {"instances": [CARD, PASSWORD]},
    {"instances": [{"text": CARD}, {"text": PASSWORD}]},
    {"inputs": [CARD, PASSWORD]},
    {"inputs": {"text": [CARD, PASSWORD]}},
    {"inputs": {"text": [[CARD], [PASSWORD]]}},
]


@pytest.mark.parametrize("body", FORMS)
def test_mlflow_reads_every_form(client: httpx.Client, words: str, body: Any) -> None:
    answer = post(client, f"/mlflow/{words}/invocations", json=body)
    assert [one["label"] for one in answer["predictions"]] == ["card", "password"]


def test_mlflow_means_the_default_alias_and_takes_params(client: httpx.Client, words: str) -> None:
    body = {"inputs": ENCODED, "params": {"top_k": 1}}
    (one,) = post(client, "/invocations", json=body)["predictions"]
    assert list(one["probabilities"]) == [LABEL]


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": [CARD], "instances": [CARD]},
        {"inputs": [CARD], "params": {"temperature": 1}},
        {"dataframe_split": {"columns": ["a", "b"], "data": [["x", "y"]]}},
        {"dataframe_split": {"columns": ["a"], "data": []}},
        {"dataframe_records": [{"a": "x", "b": "y"}]},
        {"inputs": {"a": ["x"], "b": ["y"]}},
        {"instances": [[CARD, PASSWORD]]},
        {},
    ],
)
def test_mlflow_refuses_what_it_would_misread(client: httpx.Client, words: str, body: Any) -> None:
    answer = client.post(f"/mlflow/{words}/invocations", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    assert answer.json()["message"]


def test_probes_need_no_key(anonymous: httpx.Client) -> None:
    assert anonymous.get("/ping").text == anonymous.get("/health").text == "\n"
    assert anonymous.get("/version").text
    assert anonymous.post("/invocations", json={}).json()["error_code"] == "UNAUTHENTICATED"


def test_anothers_model_is_not_there(other_client: httpx.Client, words: str) -> None:
    for name in (words, "nobody"):
        kserve = other_client.post(f"/v1/models/{name}:predict", json={"instances": ["x"]})
        mlflow = other_client.post(f"/mlflow/{name}/invocations", json={"inputs": ["x"]})
        assert (kserve.status_code, mlflow.status_code) == (404, 404), name
