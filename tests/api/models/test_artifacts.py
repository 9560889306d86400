"""Exports over HTTP: asked for once, waited for, handed out, and why there is none."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update

from app.core import exports as names
from app.infra.database import reading, transaction
from app.infra.orm import ModelRow, WorkRow
from app.infra.repositories import work
from app.infra.repositories.work import Claim
from tests.api.models.test_models import new_model, problem
from tests.api.service import Service
from tests.factories import make_key

pytestmark = pytest.mark.slow

ZIP = b"PK\x05\x06" + b"\0" * 18
"""The smallest zip there is."""


@pytest.fixture
def model(service: Service, key: str, tmp_path: Path) -> str:
    return new_model(service, tmp_path)


def url(model: str, export_format: str = "onnx") -> str:
    return f"/v1/models/{model}/artifacts/{export_format}"


def get(client: httpx.Client, path: str, wait: int | None = 1) -> httpx.Response:
    headers = {} if wait is None else {"prefer": f"wait={wait}"}
    return client.get(path, headers=headers)


def rows(service: Service) -> list[WorkRow]:
    with reading(service.services.sessions) as session:
        return list(session.scalars(select(WorkRow).where(WorkRow.kind == "export")))


def claim(service: Service) -> Claim:
    with transaction(service.services.sessions) as session:
        found = work.claim(session, worker="test", kinds=["export"], lease_seconds=60)
    assert found is not None
    return found


def make(service: Service, tmp_path: Path) -> None:
    """What a worker does to the next export, without its making."""
    found = claim(service)
    (tmp_path / "bundle").write_bytes(ZIP)
    service.services.storage.put(found.payload["key"], tmp_path / "bundle")
    with transaction(service.services.sessions) as session:
        work.finish(session, found)


def test_an_export_is_asked_for_once_and_handed_out(
    service: Service, client: httpx.Client, model: str, tmp_path: Path
) -> None:
    client.put("/v1/aliases/cells@production", json={"model": model}).raise_for_status()
    for name in (model, "cells@production"):
        pending = get(client, url(name))
        assert pending.status_code == 202
        assert pending.json() == {
            "object": "model.export", "model": model, "format": "onnx", "status": "queued"
        }  # fmt: skip
        assert pending.headers["location"] == url(model)
        assert int(pending.headers["retry-after"]) > 0
    assert len(rows(service)) == 1
    make(service, tmp_path)
    done = get(client, url("cells@production"))
    assert (done.status_code, done.content) == (200, ZIP)
    assert done.headers["content-type"] == "application/zip"
    assert done.headers["content-disposition"].endswith('-onnx.zip"')


def test_the_request_waits_for_its_bundle(
    service: Service, client: httpx.Client, model: str, tmp_path: Path
) -> None:
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(get(client, url(model), None)))
    asking.start()
    while not rows(service):
        asking.join(0.01)
    make(service, tmp_path)
    asking.join()
    assert (answers[0].status_code, answers[0].content) == (200, ZIP)


def test_every_format_is_an_export_of_its_own(
    service: Service, client: httpx.Client, model: str
) -> None:
    for export_format in names.FORMATS:
        assert get(client, url(model, export_format)).status_code == 202
    assert {row.payload["format"] for row in rows(service)} == set(names.FORMATS)
    assert len({row.payload["key"] for row in rows(service)}) == len(names.FORMATS)


def test_what_was_swept_away_is_made_again(
    service: Service, client: httpx.Client, model: str, tmp_path: Path
) -> None:
    get(client, url(model))
    make(service, tmp_path)
    assert get(client, url(model)).status_code == 200
    service.services.storage.delete(rows(service)[0].payload["key"])
    assert get(client, url(model)).status_code == 202
    make(service, tmp_path)
    assert get(client, url(model)).status_code == 200


def test_a_failure_is_told_and_later_tried_again(
    service: Service, client: httpx.Client, model: str
) -> None:
    get(client, url(model))
    found = claim(service)
    error = {"code": "export_failed", "message": "too far apart", "param": None}
    with transaction(service.services.sessions) as session:
        work.finish(session, found, "failed", error)
    answer = get(client, url(model))
    assert problem(answer) == (500, "export_failed")
    assert answer.json()["detail"] == "too far apart"
    assert int(answer.headers["retry-after"]) > 20
    with transaction(service.services.sessions) as session:
        session.execute(update(WorkRow).values(finished_at=WorkRow.finished_at - 60))
    assert get(client, url(model)).status_code == 202
    (row,) = rows(service)
    assert (row.state, row.error, row.errors) == ("queued", None, 0)


def test_a_text_model_has_no_whole_network(
    service: Service, client: httpx.Client, model: str
) -> None:
    with transaction(service.services.sessions) as session:
        session.execute(update(ModelRow).values(modality="text"))
    assert problem(get(client, url(model))) == (422, "export_unsupported")
    assert rows(service) == []
    listed = client.get(f"/v1/models/{model}/artifacts").json()["data"]
    assert [file["id"] for file in listed] == ["head", "model.json"]


def test_a_matching_head_is_nothing_that_torch_can_follow(
    service: Service, client: httpx.Client, model: str
) -> None:
    with transaction(service.services.sessions) as session:
        session.execute(update(ModelRow).values(method="matching"))
    listed = client.get(f"/v1/models/{model}/artifacts").json()["data"]
    assert [file["id"] for file in listed] == ["head", "model.json", "onnx", "openvino"]
    assert problem(get(client, url(model, "torch"))) == (422, "export_unsupported")
    assert rows(service) == []
    assert get(client, url(model, "onnx")).status_code == 202


def test_somebody_elses_model_has_no_export(
    service: Service, other_client: httpx.Client, model: str
) -> None:
    assert problem(get(other_client, url(model))) == (404, "not_found")
    assert rows(service) == []


def test_a_deleted_model_takes_its_exports_along(
    service: Service, client: httpx.Client, model: str, tmp_path: Path
) -> None:
    get(client, url(model))
    make(service, tmp_path)
    get(client, url(model, "torch"))
    client.delete(f"/v1/models/{model}").raise_for_status()
    assert rows(service) == []
    assert list((tmp_path / "storage").rglob("*.zip")) == []
    assert problem(get(client, url(model))) == (404, "not_found")


def test_a_reader_fetches_what_is_made_but_has_nothing_made(
    service: Service, client: httpx.Client, model: str, tmp_path: Path
) -> None:
    reader = make_key(service.services.sessions, scopes=["read"])
    with service.client(reader) as reading_only:
        refused = get(reading_only, url(model))
        assert problem(refused) == (403, "forbidden")
        assert rows(service) == []
        assert get(client, url(model), wait=None).status_code in (200, 202)
        assert get(reading_only, url(model)).status_code == 202
        make(service, tmp_path)
        assert get(reading_only, url(model)).status_code == 200
