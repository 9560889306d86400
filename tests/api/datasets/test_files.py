"""OpenAI's files: the same datasets, in that API's words and through its own SDK."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Iterator

import httpx
import openai
import pytest
from openai import OpenAI
from sqlalchemy import update

from app.infra.database import transaction
from app.infra.orm import WorkRow
from tests.api.service import Service
from tests.api.uploading import DATASETS, code, examples, finish, made, send, small
from tests.archives import folders, zipped

pytestmark = pytest.mark.slow

FILES = "/v1/files"


@pytest.fixture
def sdk(service: Service, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{service.url}/v1", api_key=key, max_retries=0) as found:
        yield found


def test_the_sdk_uploads_reads_lists_and_deletes(
    service: Service, client: httpx.Client, sdk: OpenAI
) -> None:
    with sdk:
        file = sdk.files.create(
            file=("cells.zip", small()), purpose="fine-tune", extra_body={"name": "cells"}
        )
        assert (file.object, file.purpose, file.status) == ("file", "fine-tune", "uploaded")
        assert (file.filename, file.bytes) == ("cells.zip", len(small()))
        assert client.get(f"{DATASETS}/{file.id}").json()["name"] == "cells"
        finish(service, file.id)
        assert sdk.files.retrieve(file.id).status == "processed"
        ids = [sdk.files.create(file=("x.zip", small()), purpose="fine-tune").id for _ in range(4)]
        listed = [one.id for one in sdk.files.list(limit=2, order="asc", purpose="fine-tune")]
        assert listed == [file.id, *ids]
        assert [one.id for one in sdk.files.list()] == listed[::-1]
        assert list(sdk.files.list(purpose="batch")) == []
        deleted = sdk.files.delete(file.id)
        assert (deleted.id, deleted.deleted, deleted.object) == (file.id, True, "file")
        with pytest.raises(openai.NotFoundError, match="no such dataset"):
            sdk.files.retrieve(file.id)


def test_the_sdk_says_what_is_wrong(sdk: OpenAI) -> None:
    with sdk, pytest.raises(openai.UnprocessableEntityError) as caught:
        sdk.files.create(file=("x.zip", b"no archive"), purpose="fine-tune")
    assert caught.value.code == "not_an_archive"
    assert "x.zip" in str(caught.value)


def test_a_file_whose_store_is_away_says_what_it_waits_for(
    service: Service, client: httpx.Client
) -> None:
    file = send(client, to=FILES).json()["id"]
    away = {"code": "storage_unavailable", "message": "it is away", "param": None, "times": 3}
    with transaction(service.services.sessions) as session:
        session.execute(update(WorkRow).values(error=away, not_before=time.time() + 600))
    found = client.get(f"{FILES}/{file}").json()
    assert (found["status"], found["status_details"]) == ("uploaded", "it is away")
    for path in ("", "/versions/1"):
        told = client.get(f"/v1/datasets/{file}{path}").json()
        assert told["waits_for"] == {"code": "storage_unavailable", "message": "it is away"}
    assert client.get("/v1/datasets").json()["data"][0]["waits_for"] == told["waits_for"]
    with transaction(service.services.sessions) as session:
        session.execute(update(WorkRow).values(not_before=time.time() - 5))
    assert client.get(f"{FILES}/{file}").json()["status_details"] is None
    for path in ("", "/versions/1"):
        assert client.get(f"/v1/datasets/{file}{path}").json()["waits_for"] is None
    finish(service, file)
    assert client.get(f"/v1/datasets/{file}").json()["waits_for"] is None


def test_a_failed_file_says_why(service: Service, client: httpx.Client) -> None:
    file = send(client, to=FILES).json()["id"]
    finish(service, file, "failed")
    found = client.get(f"{FILES}/{file}").json()
    assert (found["status"], found["status_details"]) == ("error", "nothing")


def test_waiting_for_a_file_works_too(client: httpx.Client) -> None:
    answer = send(client, to=FILES, headers={"prefer": "wait=1"})
    assert (answer.status_code, answer.json()["status"]) == (200, "uploaded")
    assert answer.headers["preference-applied"] == "wait=1"


def test_the_content_can_be_uploaded_again(client: httpx.Client) -> None:
    data = zipped(folders({"a": 5, "b": 5}))
    first = made(client, data, test_fraction="0.4")
    answer = client.get(f"{FILES}/{first['id']}/content")
    assert answer.headers["content-type"] == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        assert len(archive.getnames()) == 11
    second = made(client, answer.content, filename="again.tar")
    assert second["classes"] == first["classes"]
    told = [
        sorted((one["sha256"], one["label"], one["split"]) for one in examples(client, each["id"]))
        for each in (first, second)
    ]
    assert told[0] == told[1]


def test_texts_come_back_as_jsonl(client: httpx.Client) -> None:
    data = 'text,label,split\n"quoted, ẹ",a,train\nbye,b,train\n'.encode()
    file = made(client, data, filename="t.csv")["id"]
    answer = client.get(f"{FILES}/{file}/content")
    assert answer.headers["content-disposition"].endswith('-v1.jsonl"')
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines[0] == {"text": "quoted, ẹ", "label": "a", "split": "train"}
    assert made(client, answer.content, filename="t.jsonl")["num_examples"] == 2


@pytest.mark.parametrize("path", ["", "/content"])
def test_foreign_and_missing_files_are_alike(
    client: httpx.Client, other_client: httpx.Client, path: str
) -> None:
    file = made(client)["id"]
    answers = [
        other_client.get(f"{FILES}/{each}{path}").json() | {"request_id": ""}
        for each in (file, "ds_" + "0" * 26, "file-abc")
    ]
    assert answers[0] == answers[1] == answers[2]
    assert code(other_client.delete(f"{FILES}/{file}")) == (404, "not_found")


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "10001"}, {"after": "x"}, {"purpose": "a\0"}]
)
def test_bad_queries_are_refused(client: httpx.Client, query: dict[str, str]) -> None:
    assert code(client.get(FILES, params=query)) == (422, "invalid_request")


def test_a_plain_file_that_is_damaged_never_leaves(service: Service, client: httpx.Client) -> None:
    line = b'{"custom_id": "1", "method": "POST", "url": "/v1/embeddings", "body": {}}\n'
    told = client.post(FILES, files={"file": ("x.jsonl", line)}, data={"purpose": "batch"}).json()
    here = f"{FILES}/{told['id']}/content"
    assert client.get(here).content == line
    (key,) = service.services.storage.keys("files")
    service.services.storage.fetch(key).write_bytes(line[:-1] + b" ")
    assert code(client.get(here)) == (503, "content_corrupt")
