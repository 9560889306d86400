"""Text Embeddings Inference's routes, by requests as its documentation has them."""

from __future__ import annotations

from base64 import b64encode
from math import exp
from typing import Any

import httpx
import pytest

from tests import serving_kit as kit
from tests.api.predictions.test_predictions import post
from tests.api.service import Service
from tests.factories import make_key

TEXT = "where is my card"
PNG, LABEL = kit.digit_pngs(1, skip=30)[0]


def test_one_text_is_a_list_of_classes_and_a_batch_a_list_for_each(
    client: httpx.Client, words: str
) -> None:
    one = post(client, f"/tei/{words}/predict", json={"inputs": TEXT})
    assert [set(entry) for entry in one] == [{"score", "label"}] * 2
    assert one[0]["label"] == "card"
    assert one == sorted(one, key=lambda entry: -entry["score"])
    assert post(client, f"/tei/{words}/predict", json={"inputs": [TEXT]}) == one
    batch = post(client, f"/tei/{words}/predict", json={"inputs": [[TEXT], ["my password"]]})
    assert [row[0]["label"] for row in batch] == ["card", "password"]


def test_raw_scores_are_logarithms(client: httpx.Client, words: str) -> None:
    body = {"inputs": TEXT, "truncate": True, "raw_scores": True}
    raw = post(client, f"/tei/{words}/predict", json=body)
    plain = post(client, f"/tei/{words}/predict", json={"inputs": TEXT})
    assert [exp(entry["score"]) for entry in raw] == pytest.approx(
        [entry["score"] for entry in plain]
    )


@pytest.mark.parametrize(
    "inputs", [["a", "b"], [["a"], ["b", "c"]], [], [[]], [["a"], "b"], {"a": 1}, None, 7]
)
def test_what_is_no_text_is_refused_in_its_words(
    client: httpx.Client, words: str, inputs: Any
) -> None:
    answer = client.post(f"/tei/{words}/predict", json={"inputs": inputs})
    assert answer.status_code == 422, answer.text
    assert answer.json()["error_type"] == "validation"
    assert isinstance(answer.json()["error"], str)


def test_paths_without_a_model_mean_the_default_alias(client: httpx.Client, words: str) -> None:
    answer = post(client, "/predict", json={"inputs": b64encode(PNG).decode()})
    assert answer[0]["label"] == LABEL
    assert client.get("/info").json()["model_type"]["classifier"]["id2label"]["0"] == "0"


def test_info_says_what_the_model_is(client: httpx.Client, words: str) -> None:
    info = client.get(f"/tei/{words}/info").json()
    assert info["model_type"]["classifier"]["label2id"] == {"card": 0, "password": 1}
    assert info["model_id"].startswith("ft:all-MiniLM-L6-v2")
    assert info["max_client_batch_size"] == 256
    assert info["max_input_length"] > 100


def test_embeddings_are_those_of_the_backbone(client: httpx.Client, words: str) -> None:
    (one,) = post(client, f"/tei/{words}/embed", json={"inputs": TEXT, "normalize": True})
    ours = post(client, "/v1/embeddings", json={"model": "all-MiniLM-L6-v2", "input": TEXT})
    assert one == ours["data"][0]["embedding"]
    many = post(client, "/tei/all-MiniLM-L6-v2/embed", json={"inputs": [TEXT, TEXT]})
    assert many[0] == pytest.approx(one, abs=1e-3)
    assert len(many) == 2
    refused = client.post(f"/tei/{words}/embed", json={"inputs": TEXT, "normalize": False})
    assert refused.json()["error_type"] == "validation"


def test_errors_are_in_its_words(
    client: httpx.Client, anonymous: httpx.Client, service: Service, words: str
) -> None:
    gone = client.post("/tei/nonesuch/predict", json={"inputs": TEXT})
    assert (gone.status_code, gone.json()["error_type"]) == (404, "validation")
    assert gone.json()["code"] == "not_found"
    keyless = anonymous.post(f"/tei/{words}/predict", json={"inputs": TEXT})
    assert (keyless.status_code, keyless.json()["error_type"]) == (401, "unauthorized")
    with service.client(make_key(service.services.sessions, scopes=["read"])) as reader:
        assert reader.post(f"/tei/{words}/predict", json={"inputs": TEXT}).status_code == 403


def test_anothers_model_is_not_there(other_client: httpx.Client, words: str) -> None:
    for path in (f"/tei/{words}/predict", "/predict", f"/tei/{words}/embed", f"/models/{words}"):
        assert other_client.post(path, json={"inputs": TEXT}).status_code == 404, path
    assert other_client.get(f"/tei/{words}/info").status_code == 404
