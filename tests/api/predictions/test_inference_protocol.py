"""The Open Inference Protocol, by Triton's own client and by hand."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from app.http.strict_json import AT_ONCE
from app.predictions import tensors
from tests import serving_kit as kit
from tests.api.predictions.test_predictions import problem
from tests.api.service import Service
from tests.factories import make_key

EXAMPLES = kit.digit_pngs(2, skip=40)
IMAGES = [data for data, _ in EXAMPLES]


@pytest.fixture
def client_(service: Service) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(service.url.removeprefix("http://"))
    yield client
    client.close()


@pytest.fixture
def auth(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def images(data: list[Any], *, binary: bool) -> list[triton.InferInput]:
    tensor = triton.InferInput("image", [len(data)], "BYTES")
    tensor.set_data_from_numpy(np.array(data, dtype=np.object_), binary_data=binary)
    return [tensor]


def test_health_needs_no_key(client_: triton.InferenceServerClient) -> None:
    assert client_.is_server_live()
    assert client_.is_server_ready()


def test_metadata_names_what_goes_in_and_out(
    client_: triton.InferenceServerClient, auth: dict[str, str], model: str
) -> None:
    assert client_.get_server_metadata(headers=auth)["name"] == "headstart"
    found = client_.get_model_metadata(model, headers=auth)
    assert found["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    assert {output["name"] for output in found["outputs"]} >= {"label", "probabilities"}
    assert client_.is_model_ready(model, headers=auth)
    assert client_.is_model_ready(model, "1", headers=auth)


@pytest.mark.parametrize("binary", [True, False])
def test_raw_bytes_and_json_give_the_same_tensors(
    client_: triton.InferenceServerClient, auth: dict[str, str], model: str, binary: bool
) -> None:
    encoded = [b64encode(data) for data in IMAGES]
    inputs = images(IMAGES, binary=True) if binary else images(encoded, binary=False)
    names = ["label", "probability", "unknown", "probabilities"]
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in names]
    answer = client_.infer(model, inputs, outputs=outputs, headers=auth, request_id="r1")
    labels = [value.decode() if binary else value for value in answer.as_numpy("label")]
    right = sum(a == b for a, (_, b) in zip(labels, EXAMPLES, strict=True))
    assert right >= 4
    probabilities = answer.as_numpy("probabilities")
    assert probabilities.shape == (6, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-4)
    np.testing.assert_allclose(probabilities.max(1), answer.as_numpy("probability"), atol=1e-6)
    assert answer.as_numpy("unknown").dtype == np.bool_
    assert answer.get_response()["id"] == "r1"


def test_errors_reach_the_client_in_words(
    client_: triton.InferenceServerClient, auth: dict[str, str], model: str
) -> None:
    with pytest.raises(InferenceServerException, match="not_found"):
        client_.infer("ft:x:y::z", images(IMAGES, binary=True), headers=auth)
    with pytest.raises(InferenceServerException, match="image_invalid"):
        client_.infer(model, images([IMAGES[0], b"no image"], binary=True), headers=auth)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (422, "invalid_request")),
        ({"inputs": [3]}, (422, "invalid_request")),
        ({"inputs": []}, (422, "invalid_request")),
        ({"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["x"]}]}, None),
        ({"inputs": [{"name": "image", "shape": [2], "datatype": "BYTES", "data": ["x"]}]}, None),
        ({"inputs": [{"name": "image", "shape": [1], "datatype": "FP32", "data": [1.0]}]}, None),
        (
            {
                "inputs": [
                    {
                        "name": "image",
                        "shape": [1],
                        "datatype": "BYTES",
                        "parameters": {"binary_data_size": 9},
                    }
                ]
            },
            None,
        ),
        ({"inputs": [], "outputs": [{"name": "nonesuch"}]}, None),
        ({"inputs": [], "outputs": [{"name": "probabilities"}] * 2}, None),
        ({"inputs": [], "parameters": {"top_k": 1}}, None),
        ({"inputs": [], "threshold": 0.5}, None),
    ],
)
def test_broken_requests_are_refused(
    client: httpx.Client, model: str, body: dict[str, Any], expected: tuple[int, str] | None
) -> None:
    answer = client.post(f"/v2/models/{model}/infer", json=body)
    assert problem(answer) == (expected or (422, "invalid_request"))
    assert answer.json()["error"]


@pytest.mark.parametrize("length", [b"\xb2", b"9" * 5000, b"-1"])
def test_a_length_that_is_none_is_refused(client: httpx.Client, model: str, length: bytes) -> None:
    headers = {b"inference-header-content-length": length}
    answer = client.post(f"/v2/models/{model}/infer", content=b"{}", headers=headers)
    assert problem(answer) == (422, "invalid_request")


def test_a_long_document_is_read_like_a_short_one(client: httpx.Client, model: str) -> None:
    data = [b64encode(IMAGES[0]).decode()]
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": data}
    body = {"inputs": [tensor], "parameters": {"request_id": "x" * 2_000_000}}
    answer = client.post(f"/v2/models/{model}/infer", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"][0]["shape"] == [1]
    assert "predictor;dur=" in answer.headers["server-timing"]


def test_a_long_raw_tensor_is_read_in_a_thread(
    client: httpx.Client, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, split = [], tensors.split_bytes

    def noting(raw: bytes, *, name: str, most: int) -> list[bytes]:
        names.append(threading.current_thread().name)
        return split(raw, name=name, most=most)

    monkeypatch.setattr(tensors, "split_bytes", noting)
    for length in (4 * 257, AT_ONCE):
        parameters = {"binary_data_size": length}
        tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": parameters}
        head = json.dumps({"inputs": [tensor]}).encode()
        headers = {"inference-header-content-length": str(len(head))}
        content = head + bytes(length)
        answer = client.post(f"/v2/models/{model}/infer", content=content, headers=headers)
        assert problem(answer) == (422, "invalid_request")
        assert "send 1 to 256 inputs" in answer.json()["detail"]
    assert names[0] != names[1]


def test_the_document_says_what_goes_in_and_what_may_go_wrong(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/v2/models/{model}/infer"]["post"]
    assert set(operation["requestBody"]["content"]) == {
        "application/json",
        "application/octet-stream",
    }
    assert {"413", "504"} <= set(operation["responses"])
    assert "overloaded" in operation["responses"]["503"]["description"]
    assert "image_invalid" in operation["responses"]["422"]["description"]


def test_a_key_that_may_only_predict_is_told_what_it_needs(
    service: Service, client_: triton.InferenceServerClient, model: str
) -> None:
    """Triton's and KServe's clients ask for metadata and readiness before anything else."""
    predict = make_key(service.services.sessions, scopes=["predict"])
    auth = {"Authorization": f"Bearer {predict}"}
    assert client_.get_model_metadata(model, headers=auth)["outputs"]
    assert client_.is_model_ready(model, headers=auth)
    write = make_key(service.services.sessions, scopes=["write"])
    with service.client(write) as writer:
        assert problem(writer.get(f"/v2/models/{model}")) == (403, "forbidden")
