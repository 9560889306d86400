"""Hugging Face's classification, by their own client."""

from __future__ import annotations

from base64 import b64encode

import httpx
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from tests import serving_kit as kit
from tests.api.predictions.test_predictions import post
from tests.api.service import Service

PNG, LABEL = kit.digit_pngs(1, skip=30)[0]


@pytest.fixture
def inference(service: Service, key: str, words: str) -> InferenceClient:
    return InferenceClient(model=f"{service.url}/models/{words}", token=key)


def test_their_client_classifies_texts(inference: InferenceClient) -> None:
    found = inference.text_classification("where is my card")
    assert [entry.label for entry in found] == ["card", "password"]
    assert sum(entry.score for entry in found) == pytest.approx(1, abs=1e-4)
    assert len(inference.text_classification("where is my card", top_k=1)) == 1


def test_their_client_classifies_images(
    inference: InferenceClient, service: Service, model: str, key: str
) -> None:
    address = f"{service.url}/models/{model}"
    raw = inference.image_classification(PNG, model=address)
    assert (raw[0].label, len(raw)) == (LABEL, 3)
    listed = inference.image_classification(PNG, model=address, top_k=2)
    assert [entry.label for entry in listed] == [entry.label for entry in raw[:2]]


def test_their_client_is_told_what_is_wrong(inference: InferenceClient, service: Service) -> None:
    with pytest.raises(HfHubHTTPError, match="no such model"):
        inference.text_classification("x", model=f"{service.url}/models/nonesuch")
    with pytest.raises(HfHubHTTPError, match="texts, not images"):
        inference.image_classification(PNG)


def test_many_texts_and_images_have_a_list_each(client: httpx.Client, words: str) -> None:
    many = post(client, f"/models/{words}", json={"inputs": ["my card", "my password"]})
    assert [row[0]["label"] for row in many] == ["card", "password"]
    encoded = b64encode(PNG).decode()
    images = post(client, "/models/default", json={"inputs": [encoded]})
    assert images[0][0]["label"] == LABEL
    body = {"inputs": encoded, "parameters": {"function_to_apply": "none", "top_k": 1}}
    (alone,) = post(client, "/models/default", json=body)
    assert alone["score"] <= 0


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": []},
        {"inputs": "x", "parameters": {"function_to_apply": "sigmoid"}},
        {"inputs": "x", "parameters": {"top_k": 0}},
        {"inputs": "x", "parameters": {"temperature": 1}},
        {"inputs": {"a": 1}},
        {"inputs": "x", "normalize": True},
        [],
    ],
)
def test_what_means_nothing_here_is_refused(client: httpx.Client, words: str, body: object) -> None:
    answer = client.post(f"/models/{words}", json=body)
    assert answer.status_code == 422, answer.text
    assert isinstance(answer.json()["error"], str)
    broken = client.post(
        f"/models/{words}", content=b"{", headers={"content-type": "application/json"}
    )
    assert broken.json()["code"] == "invalid_json"


def test_anothers_model_is_not_there(other_client: httpx.Client, words: str) -> None:
    for name in (words, "nobody"):
        answer = other_client.post(f"/models/{name}", json={"inputs": "where is my card"})
        assert (answer.status_code, answer.json()["error"]) == (404, "there is no such model")
