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


def test_the_console_loads_only_its_own_files(anybody: httpx.Client) -> None:
    page = anybody.get("/")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    wanted = re.findall(r'(?:src|href)="(console/[^"]+)"', page.text)
    assert len(wanted) == 8
    seen = set(wanted)
    for path in wanted:  # and every module that one of them names
        answer = anybody.get(f"/{path}")
        assert answer.status_code == 200, path
        assert answer.headers["x-content-type-options"] == "nosniff"
        for name in re.findall(r'(?:from|import\() ?"(\.[^"]+)"', answer.text):
            there = str(httpx.URL(f"http://x/{path}").join(name).path)[1:]
            if there not in seen:
                seen.add(there)
                wanted.append(there)
        assert "//cdn" not in answer.text
    assert len(wanted) > 20


def test_a_file_that_is_known_is_not_sent_again(anybody: httpx.Client) -> None:
    first = anybody.get("/console/main.js")
    assert first.headers["content-encoding"] == "gzip"
    known = {"if-none-match": first.headers["etag"]}
    again = anybody.get("/console/main.js", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    plain = anybody.get("/console/main.js", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == first.content


@pytest.mark.parametrize(
    "name",
    ["index.html", "../pages.py", "..%2fpages.py", "%2e%2e/docs.py", "nothing.js", "%00", ""],
)
def test_nothing_else_is_handed_out(anybody: httpx.Client, name: str) -> None:
    assert anybody.get(f"/console/{name}").status_code in (401, 404)


def test_below_a_prefix_links_begin_with_it(tmp_path: Path) -> None:
    with serve(Settings(data_dir=tmp_path, root_path="/headstart")) as service:
        with service.client(None) as client:
            assert 'src="/headstart/console/main.js"' in client.get("/").text


def test_the_digits_are_a_dataset(anybody: httpx.Client, client: httpx.Client) -> None:
    digits = anybody.get("/console/digits.zip")
    assert digits.headers["content-type"] == "application/zip"
    answer = client.post(
        f"{DATASETS}?validate_only=true", files={"file": ("digits.zip", digits.content)}
    )
    report = answer.json()
    assert (report["num_examples"], len(report["classes"])) == (300, 10)
    assert [one["num_examples"] for one in report["splits"]] == [100, 200]


def test_a_key_reads_who_it_is(service: Service) -> None:
    key = make_key(service.services.sessions, "acme", scopes=["predict"])
    with service.client(key) as client:
        told = client.get("/v1/me").json()
    assert (told["organization_id"], told["scopes"]) == ("acme", ["predict"])
    assert key.startswith(told["prefix"])
    assert "key" not in told
    with service.client("hs_nonsense") as stranger:
        assert code(stranger.get("/v1/me")) == (401, "unauthenticated")


def test_the_system_tells_only_of_ones_own(service: Service, client: httpx.Client) -> None:
    made(client)
    own = client.get("/v1/system").json()
    assert own["checks"]["database"] == "ok"
    assert own["work"] == [{"kind": "embed", "queued": 1, "running": 0}]
    assert own["stored_bytes"]["examples"] > 0
    assert 0 < own["disk"]["free_bytes"] <= own["disk"]["total_bytes"]
    with service.client(make_key(service.services.sessions, "other")) as stranger:
        told = stranger.get("/v1/system").json()
    assert told["work"] == []
    assert told["stored_bytes"] == {"examples": 0, "embeddings": 0, "models": 0}
