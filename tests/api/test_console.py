"""Probes, metrics and docs."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.infra.settings import Settings
from tests.api.service import Service, serve
from tests.api.uploading import DATASETS, code, finish, made
from tests.factories import make_key


@pytest.fixture
def anybody(service: Service) -> Iterator[httpx.Client]:
    with service.client(None) as client:
        yield client


def test_probes_need_no_key(anybody: httpx.Client) -> None:
    assert anybody.get("/livez").json() == {"status": "ok"}
    ready = anybody.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ready",
        "checks": {
            "database": "ok",
            "predictor": "not ready",
            "storage": "ok",
            "trainer": "no trainer looks for work",
        },
    }
    assert ready.headers["x-request-id"]


def test_an_unwritable_storage_is_not_ready(service: Service, anybody: httpx.Client) -> None:
    storage = service.settings.data_dir / "storage"
    shutil.rmtree(storage)
    storage.write_bytes(b"in the way")
    answer = anybody.get("/readyz")
    assert code(answer) == (503, "storage_unavailable")
    assert answer.json()["checks"]["database"] == "ok"
    assert answer.json()["checks"]["storage"] != "ok"
    assert answer.headers["retry-after"]
    assert anybody.get("/livez").status_code == 200
    storage.unlink()
    time.sleep(1.1)
    assert anybody.get("/readyz").status_code == 200


def test_a_database_that_does_not_answer_is_not_ready(tmp_path: Path) -> None:
    url = "postgresql://nobody@127.0.0.1:9/none"  # the discard port: nobody listens
    with serve(Settings(data_dir=tmp_path, database_url=url)) as service:
        with service.client(None) as client:
            begun = time.monotonic()
            answer = client.get("/readyz")
            assert code(answer) == (503, "database_unavailable")
            assert answer.json()["checks"]["storage"] == "ok"
            assert time.monotonic() - begun < 4
            assert client.get("/livez").status_code == 200


def test_metrics_are_the_operators(service: Service, client: httpx.Client) -> None:
    dataset = made(client)["id"]
    assert code(client.get("/metrics")) == (403, "forbidden")
    with service.client(None) as nobody:
        assert code(nobody.get("/metrics")) == (401, "unauthenticated")
    with service.client(make_key(service.services.sessions, scopes=["operator"])) as operator:
        client.get(f"{DATASETS}/{dataset}")
        client.get(f"/{dataset}")
        text = operator.get("/metrics").text
        assert 'headstart_work{kind="embed",state="queued"} 1.0' in text
        assert 'headstart_work_oldest_queued_seconds{kind="embed"}' in text
        assert 'method="GET",route="/v1/datasets/{dataset_id}",status="200"' in text
        assert dataset not in text
        finish(service, dataset)
        assert 'state="queued"' not in operator.get("/metrics").text


def test_the_docs_load_only_their_own_files(anybody: httpx.Client) -> None:
    page = anybody.get("/docs")
    assert page.status_code == 200
    wanted = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(wanted) == 4
    for path in wanted:
        answer = anybody.get(f"/{path}")
        assert answer.status_code == 200, path
        assert len(answer.content) > 100
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert anybody.get("/docs/LICENSE").status_code == 200
    assert anybody.get("/").headers["location"] == "/docs"
    for name in ("docs.html", "..%2fdocs.py", "nothing.js", "%00"):
        assert anybody.get(f"/docs/{name}").status_code == 404


def test_the_openapi_is_complete(anybody: httpx.Client) -> None:
    document = anybody.get("/openapi.json").json()
    problem = "#/components/schemas/Problem"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation.get("summary"), where
            assert operation.get("description"), where
            if path.startswith("/v1/"):
                assert operation["security"], where
                assert {"401", "403", "422", "500", "503"} <= operation["responses"].keys(), where
            for status, answer in operation["responses"].items():
                assert status != "429", f"{where}: nothing is ever answered so"
                if int(status) >= 400:
                    content = answer["content"]["application/problem+json"]
                    assert content["schema"] == {"$ref": problem}, where
    assert document["components"]["schemas"]["Problem"]["required"]
    refs = set(re.findall(r'"#/components/schemas/([^"]+)"', anybody.get("/openapi.json").text))
    assert refs <= document["components"]["schemas"].keys()


def test_uploads_are_documented(anybody: httpx.Client) -> None:
    paths = anybody.get("/openapi.json").json()["paths"]
    own = {"name", "backbone"}
    for path in (DATASETS, f"{DATASETS}/{{dataset_id}}/examples", "/v1/files"):
        content = paths[path]["post"]["requestBody"]["content"]
        fields = content["multipart/form-data"]["schema"]["properties"].keys()
        assert {"file", "modality", "test_fraction", "seed"} <= fields
        assert own & fields == (set() if path.endswith("/examples") else own)


def test_links_lead_to_operations(anybody: httpx.Client) -> None:
    document = anybody.get("/openapi.json").json()
    operations = [each for path in document["paths"].values() for each in path.values()]
    known = {each["operationId"] for each in operations}
    led = [
        link["operationId"]
        for each in operations
        for answer in each["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert len(led) >= 8
    assert set(led) <= known
