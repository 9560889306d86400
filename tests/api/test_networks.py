"""What clients and networks do, on every route: HEAD, slashes, CORS, slow and eager ones."""

from __future__ import annotations

import gzip
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import pytest

from app.infra.settings import Settings
from tests.api.service import Service, serve
from tests.api.uploading import finish, small
from tests.factories import make_key, migrated

pytestmark = pytest.mark.slow

UPLOADS = {
    ("POST", "/v1/datasets"),
    ("POST", "/v1/datasets/1/examples"),
    ("POST", "/v1/files"),
    ("POST", "/v1/uploads/1/parts"),
    ("POST", "/v1/batch_predictions"),
}
ORIGIN = "https://app.example.com"


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Service]:
    """A service under a prefix, which pages of one origin may call."""
    migrated(tmp_path)
    with serve(Settings(data_dir=tmp_path, root_path="/hs", cors_origins=ORIGIN)) as service:
        yield service


def operations(client: httpx.Client) -> Iterator[tuple[str, str]]:
    """Method and a path of every documented operation."""
    for path, item in client.get("/openapi.json").json()["paths"].items():
        for method in item:
            yield method.upper(), re.sub(r"\{\w+\}", "1", path)


def test_head_is_get_without_a_body(client: httpx.Client) -> None:
    for method, path in operations(client):
        if method == "GET":
            got, head = client.get(path), client.head(path)
            assert (head.status_code, head.content) == (got.status_code, b""), path
    assert "HEAD" in client.post("/livez").headers["allow"]


def test_both_forms_of_a_slash_are_one_path(client: httpx.Client) -> None:
    for method, path in operations(client):
        if method == "GET":
            answers = client.get(path), client.get(f"{path}/")
            assert len({answer.status_code for answer in answers}) == 1, path
            assert not answers[1].is_redirect, path


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/livez", "/v1/me", "/v1/nothing"])
def test_no_answer_may_be_framed_or_taken_for_something_else(
    client: httpx.Client, path: str
) -> None:
    said = client.get(path).headers
    assert said["x-content-type-options"] == "nosniff"
    assert said["x-frame-options"] == "DENY"
    assert said["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in said["content-security-policy"]


def test_unknown_query_parameters_are_refused_by_name(client: httpx.Client) -> None:
    """An upload's own are told among its fields, once it is known to whom they go."""
    for method, path in operations(client):
        if (method, path) in UPLOADS:
            continue
        body = {"content": b"{}", "headers": {"content-type": "application/json"}}
        answer = client.request(method, f"{path}?nonsense=1", **(body if method != "GET" else {}))
        assert (answer.status_code, answer.json().get("param")) == (422, "nonsense"), (method, path)


def test_the_sdks_own_parameters_are_known(service: Service, key: str) -> None:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key=key, max_retries=0) as sdk:
        file = sdk.files.create(
            file=("small.zip", small()),
            purpose="fine-tune",
            expires_after={"anchor": "created_at", "seconds": 3600},
        )
        assert file.expires_at == pytest.approx(file.created_at + 3600, abs=1)
        finish(service, file.id)
        assert sdk.files.list(limit=1, order="asc", purpose="fine-tune").data
        assert sdk.fine_tuning.jobs.list(limit=1, metadata={"a": "b"}).data == []
        with pytest.raises(openai.UnprocessableEntityError) as caught:
            sdk.fine_tuning.jobs.create(model="nope", training_file=file.id)
        assert (caught.value.code, caught.value.param) == ("unknown_backbone", "model")


def documented(document: dict[str, Any]) -> set[str]:
    """The headers that answers have by the document."""
    told = [way for ways in document["paths"].values() for way in ways.values()]
    answers = [answer for one in told for answer in one["responses"].values()]
    return {name.lower() for answer in answers for name in answer.get("headers", {})}


def test_pages_of_an_allowed_origin_may_call(proxied: Service) -> None:
    asked = {"origin": ORIGIN, "access-control-request-method": "POST"}
    with proxied.client(None) as anonymous:
        told = documented(anonymous.get("/openapi.json").json())
        preflight = anonymous.options("/v1/models", headers=asked)
        refused = anonymous.get("/v1/models", headers={"origin": ORIGIN})
        other = anonymous.get("/v1/models", headers={"origin": "https://evil.example"})
    assert preflight.status_code == 200
    assert preflight.headers["x-request-id"]
    assert refused.status_code == 401
    for answer in (preflight, refused):
        assert answer.headers["access-control-allow-origin"] == ORIGIN
    exposed = set(refused.headers["access-control-expose-headers"].split(", "))
    assert {"x-request-id", "ratelimit-remaining", "etag"} <= exposed
    assert exposed >= told
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("prefix", ["", "/hs"])
def test_a_prefix_is_known_everywhere(proxied: Service, prefix: str) -> None:
    with proxied.client(make_key(proxied.services.sessions)) as client:
        assert client.get(f"{prefix}/livez").status_code == 200
        made = client.post(f"{prefix}/v1/datasets", files={"file": ("a.zip", small())})
        document = client.get(f"{prefix}/openapi.json").json()
        home = client.get(f"{prefix}/")
        assert made.headers["location"].startswith("/hs/v1/datasets/")
        assert client.get(made.headers["location"]).status_code == 200
    assert [server["url"] for server in document["servers"]] == ["/hs"]
    assert home.status_code == 200
    assert "/hs/" in home.text


@pytest.mark.parametrize("keep", ["close", "keep-alive"])
def test_an_early_refusal_reaches_who_still_sends(service: Service, keep: str) -> None:
    """The client sends all of its body before it reads: a closed connection would be a reset."""
    body = bytes(8_000_000)
    head = (
        "POST /v1/datasets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\n"
        f"Content-Type: application/zip\r\nContent-Length: {len(body)}\r\n"
        f"Connection: {keep}\r\n\r\n"
    )
    address = urlsplit(service.url)
    for _ in range(5):
        with socket.create_connection((address.hostname, address.port), timeout=20) as asked:
            asked.sendall(head.encode() + body)
            assert asked.recv(65536).startswith(b"HTTP/1.1 401")


def test_compressed_bodies_are_taken_within_the_cap(client: httpx.Client) -> None:
    def send(data: bytes, **headers: str) -> Any:
        told = {"content-encoding": "gzip", "content-type": "application/json", **headers}
        return client.post("/v1/fine_tuning/jobs", content=gzip.compress(data), headers=told).json()

    known = send(b'{"model": "nope", "training_file": "ds_1"}')
    assert known["code"] in ("unknown_backbone", "not_found")
    assert send(b" " * 64_000_000)["code"] == "payload_too_large"
    assert send(b"x", **{"content-type": "text/plain"})["code"] == "unsupported_media_type"


def test_who_lacks_the_scope_is_refused_before_the_body(service: Service) -> None:
    """The body never comes: only the head can be refused."""
    key = make_key(service.services.sessions, scopes=["read"])
    address = urlsplit(service.url)
    for path in ("/v1/embeddings", "/v1/fine_tuning/jobs", "/v1/datasets", "/v1/api_keys"):
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n"
        )
        with socket.create_connection((address.hostname, address.port), timeout=10) as asked:
            asked.sendall(head.encode())
            assert asked.recv(65536).startswith(b"HTTP/1.1 403"), path


@pytest.mark.parametrize("path", ["/v1/fine_tuning/jobs", "/v1/embeddings", "/v1/api_keys"])
def test_a_body_that_does_not_come_is_answered(tmp_path: Path, path: str) -> None:
    migrated(tmp_path)
    with serve(Settings(data_dir=tmp_path, upload_grace_seconds=0.2)) as service:
        key = make_key(service.services.sessions)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
        )
        address = urlsplit(service.url)
        with socket.create_connection((address.hostname, address.port), timeout=10) as asked:
            asked.sendall(head.encode())
            assert asked.recv(65536).startswith(b"HTTP/1.1 408")
