"""Embeddings, by the official SDK and by hand."""

from __future__ import annotations

from base64 import b64decode, b64encode

import httpx
import numpy as np
import openai
import pytest

from tests import serving_kit as kit
from tests.api.predictions.test_predictions import problem
from tests.api.service import Service

PNG = kit.digit_pngs(1)[0][0]
ENCODED = b64encode(PNG).decode()


@pytest.fixture
def sdk(service: Service, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{service.url}/v1", api_key=key, max_retries=0)


def test_the_sdk_reads_an_embedding_of_length_one(sdk: openai.OpenAI) -> None:
    answer = sdk.embeddings.create(model=kit.BACKBONE, input=[ENCODED, ENCODED])
    assert [item.index for item in answer.data] == [0, 1]
    first, second = (np.array(item.embedding) for item in answer.data)
    assert first.shape == (1280,)
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_floats_and_base64_are_the_same_numbers(client: httpx.Client, model: str) -> None:
    body = {"model": model, "input": {"image": f"data:image/png;base64,{ENCODED}"}}
    floats = client.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]
    encoded = client.post("/v1/embeddings", json={**body, "encoding_format": "base64"}).json()
    raw = np.frombuffer(b64decode(encoded["data"][0]["embedding"]), "<f4")
    np.testing.assert_allclose(np.array(floats), raw, atol=1e-6)


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
