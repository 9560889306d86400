"""Problem documents, wherever in the app they are made."""

from __future__ import annotations

import gzip

import httpx
import pytest

from tests.api.service import Service

pytestmark = pytest.mark.slow

NOTHING = ("GET", "/v2/nothing")
LONG = ("GET", f"/v2/models/{'m' * 201}")
WRONG_METHOD = ("DELETE", "/v2/models/m")


@pytest.mark.parametrize(
    ("request_", "status"),
    [(NOTHING, 404), (LONG, 422), (WRONG_METHOD, 405), (("PUT", "/v2"), 405)],
)
def test_every_problem_of_the_inference_protocol_says_its_error(
    client: httpx.Client, request_: tuple[str, str], status: int
) -> None:
    answer = client.request(*request_)
    found = answer.json()
    assert answer.status_code == status
    assert found["error"] == f"{found['code']}: {found['message']}"


def test_so_does_the_gate(service: Service) -> None:
    with service.client(None) as anonymous:
        for path in ("/v2", "/v2/models/m"):
            found = anonymous.get(path).json()
            assert found["error"] == f"unauthenticated: {found['message']}"


def test_under_v1_it_has_openais_error(client: httpx.Client) -> None:
    found = client.get("/v1/models/m").json()
    assert found["error"] == {
        "message": found["message"],
        "type": "invalid_request_error",
        "code": "not_found",
        "param": "model",
    }


@pytest.mark.parametrize("path", ["/v2x", "/"])
def test_no_other_problem_does(client: httpx.Client, path: str) -> None:
    answer = client.delete(path)
    assert answer.status_code >= 400
    assert "error" not in answer.json()


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br", "gzip, gzip"])
@pytest.mark.parametrize(
    "path",
    ["/v1/models/m/predictions", "/v1/fine_tuning/jobs", "/v1/datasets", "/v2/models/m/infer"],
)
def test_a_body_compressed_otherwise_is_not_taken(
    client: httpx.Client, path: str, encoding: str
) -> None:
    headers = {"content-encoding": encoding, "content-type": "application/json"}
    answer = client.post(path, content=gzip.compress(b"{}"), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert "uncompressed" in answer.json()["detail"]


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
def test_a_body_that_is_said_to_be_plain_is_taken(client: httpx.Client, encoding: str) -> None:
    headers = {"content-encoding": encoding}
    answer = client.put("/v1/aliases/a", json={"model": "nobody"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
