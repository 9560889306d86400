"""Embeddings, by the official SDK and by hand."""

from __future__ import annotations

import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from app.core.messages import Input, Target
from app.core.openai import embeddings
from app.http.strict_json import AT_ONCE
from tests import serving_kit as kit
from tests.api.predictions.conftest import register
from tests.api.predictions.test_predictions import problem
from tests.api.service import Service

PNG = kit.digit_pngs(1)[0][0]
ENCODED = b64encode(PNG).decode()


@pytest.fixture
def sdk(service: Service, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key=key, max_retries=0) as found:
        yield found


def test_the_sdk_reads_an_embedding_of_length_one(sdk: openai.OpenAI) -> None:
    answer = sdk.embeddings.create(model=kit.BACKBONE, input=[ENCODED, ENCODED])
    assert [item.index for item in answer.data] == [0, 1]
    first, second = (np.array(item.embedding) for item in answer.data)
    assert first.shape == (1280,)
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_a_texts_tokens_are_counted(sdk: openai.OpenAI) -> None:
    answer = sdk.embeddings.create(model=kit.TEXT_BACKBONE, input=["where is my card", "card"])
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (5, 5)


def test_floats_and_base64_are_the_same_numbers(client: httpx.Client, model: str) -> None:
    body = {"model": model, "input": {"image": f"data:image/png;base64,{ENCODED}"}}
    floats = client.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]
    encoded = client.post("/v1/embeddings", json={**body, "encoding_format": "base64"}).json()
    raw = np.frombuffer(b64decode(encoded["data"][0]["embedding"]), "<f4")
    np.testing.assert_allclose(np.array(floats), raw, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "send 1 to 256 inputs"),
        ([""] * 257, "send 1 to 256 inputs"),
        ([""] * 20_000, "input.list: List should have at most 10000 items"),
        ([1] * 20_000, "input: tokens are not read, send texts"),
        (3, "input.image: Input should be a valid dictionary"),
        ([{"image": ""}] * 60_000, "more than 100,000 values"),
    ],
)
def test_too_few_or_too_many_are_refused_in_words(
    client: httpx.Client, given: object, message: str
) -> None:
    answer = client.post("/v1/embeddings", json={"model": kit.BACKBONE, "input": given})
    assert answer.status_code == 422
    assert message in answer.json()["detail"]


def test_long_inputs_are_read_in_a_thread(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, read = [], embeddings._inputs

    def noting(*given: Any, most: int) -> tuple[Input, ...]:
        names.append(threading.current_thread().name)
        return read(*given, most=most)

    monkeypatch.setattr(embeddings, "_inputs", noting)
    for length in (4, AT_ONCE):
        client.post("/v1/embeddings", json={"model": kit.BACKBONE, "input": "AAAA" * length})
    assert names[0] != names[1]


def test_an_answer_tells_its_time(client: httpx.Client) -> None:
    answer = client.post("/v1/embeddings", json={"model": kit.BACKBONE, "input": ENCODED})
    assert "forward;dur=" in answer.headers["server-timing"]


def test_the_document_names_what_may_go_wrong(client: httpx.Client) -> None:
    answers = client.get("/openapi.json").json()["paths"]["/v1/embeddings"]["post"]["responses"]
    assert "deadline_exceeded" in answers["504"]["description"]
    assert "backbone_unavailable" in answers["503"]["description"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"model": "nonesuch", "input": ENCODED}, (404, "not_found")),
        ({"model": kit.BACKBONE, "input": "%%"}, (422, "image_invalid")),
        ({"model": kit.BACKBONE, "input": []}, (422, "invalid_request")),
        ({"model": kit.BACKBONE, "input": [1, 2]}, (422, "invalid_request")),
        ({"model": kit.BACKBONE, "input": ENCODED, "dimensions": 3}, (422, "invalid_value")),
        ({"model": "all-MiniLM-L6-v2", "input": {"image": ENCODED}}, (422, "modality_mismatch")),
    ],
)
def test_what_cannot_be_embedded_is_refused(
    client: httpx.Client, body: dict[str, object], expected: tuple[int, str]
) -> None:
    assert problem(client.post("/v1/embeddings", json=body)) == expected


def test_a_model_whose_backbone_is_gone_says_so(service: Service, client: httpx.Client) -> None:
    gone = Target(model="ft:gone:default::1", backbone="gone", artifact="models/d/1/1", sha256="0")
    register(service.services.sessions, gone, name=gone.model)
    answer = client.post("/v1/embeddings", json={"model": gone.model, "input": [ENCODED]})
    assert problem(answer) == (503, "backbone_unavailable")
    assert "WEIGHTS_DIR" in answer.json()["detail"]
