"""`/v1/uploads`, by the official SDK and by hand: in any order, broken off, again, too late."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from sqlalchemy import select, update

from app.datasets import removal
from app.infra.database import transaction
from app.infra.orm import FileRow, HeldBlobRow, UploadPartRow, UploadRow
from tests.api.service import Service
from tests.api.uploading import DATASETS, code, finish, small

pytestmark = pytest.mark.slow

UPLOADS = "/v1/uploads"
REQUESTS = b'{"custom_id": "1"}\n' * 1000


@pytest.fixture
def sdk(service: Service, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{service.url}/v1", api_key=key, max_retries=0) as client:
        yield client


def begun(client: httpx.Client, size: int, **more: Any) -> str:
    body = {"filename": "requests.jsonl", "bytes": size, "purpose": "batch"}
    body["mime_type"] = "application/jsonl"
    answer = client.post(UPLOADS, json=body | more)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def part(client: httpx.Client, upload: str, data: bytes, **headers: str) -> httpx.Response:
    files = {"data": ("blob", data)}
    return client.post(f"{UPLOADS}/{upload}/parts", files=files, headers=headers)


def sent(client: httpx.Client, upload: str, data: bytes) -> str:
    answer = part(client, upload, data)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def complete(client: httpx.Client, upload: str, parts: list[str], **more: Any) -> httpx.Response:
    return client.post(f"{UPLOADS}/{upload}/complete", json={"part_ids": parts, **more})


def stored(service: Service, *folders: str) -> list[str]:
    return [key for folder in folders for key in service.services.storage.keys(folder)]


def test_the_sdks_helper_uploads_in_chunks(
    service: Service, sdk: OpenAI, client: httpx.Client, tmp_path: Path
) -> None:
    file = tmp_path / "cells.zip"
    file.write_bytes(small())
    done = sdk.uploads.upload_file_chunked(
        file=file,
        mime_type="application/zip",
        purpose="fine-tune",
        part_size=300,
        md5=hashlib.md5(small()).hexdigest(),
    )
    assert done.status == "completed"
    assert done.file is not None
    assert (done.file.filename, done.file.bytes) == ("cells.zip", len(small()))
    finish(service, done.file.id)
    assert client.get(f"{DATASETS}/{done.file.id}").json()["num_examples"] == 6
    assert stored(service, "parts") == []


def test_parts_come_in_any_order_and_at_once(service: Service, client: httpx.Client) -> None:
    pieces = [REQUESTS[at : at + 1700] for at in range(0, len(REQUESTS), 1700)]
    upload, places = begun(client, len(REQUESTS)), list(range(len(pieces)))
    random.Random(7).shuffle(places)
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda place: sent(client, upload, pieces[place]), places))
    ordered = [part_id for _, part_id in sorted(zip(places, ids, strict=True))]
    done = complete(client, upload, ordered, md5=hashlib.md5(REQUESTS).hexdigest().upper()).json()
    assert (done["status"], done["file"]["purpose"]) == ("completed", "batch")
    assert client.get(f"/v1/files/{done['file']['id']}/content").content == REQUESTS
    assert stored(service, "parts") == []


def test_what_came_is_listed_so_that_a_broken_upload_goes_on(client: httpx.Client) -> None:
    upload = begun(client, len(REQUESTS))
    first, second = sent(client, upload, REQUESTS[:9]), sent(client, upload, REQUESTS[9:20])
    page = client.get(f"{UPLOADS}/{upload}/parts", params={"limit": 1}).json()
    assert ([one["id"] for one in page["data"]], page["has_more"]) == ([first], True)
    page = client.get(f"{UPLOADS}/{upload}/parts", params={"after": first}).json()
    assert [one["id"] for one in page["data"]] == [second]
    assert page["data"][0]["sha256"] == hashlib.sha256(REQUESTS[9:20]).hexdigest()
    third = sent(client, upload, REQUESTS[20:])
    assert complete(client, upload, [first, second, third]).status_code == 200


def test_nothing_is_kept_of_a_part_that_breaks_off(service: Service, client: httpx.Client) -> None:
    upload = begun(client, 100)

    def cut() -> Iterator[bytes]:
        yield b'--x\r\ncontent-disposition: form-data; name="data"; filename="b"\r\n\r\nabc'

    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post(f"{UPLOADS}/{upload}/parts", content=cut(), headers=headers)
    assert code(answer) == (400, "bad_request")
    assert client.get(f"{UPLOADS}/{upload}/parts").json()["data"] == []
    assert stored(service, "parts") == []


def test_completing_again_answers_the_same_and_makes_one_file(
    service: Service, client: httpx.Client
) -> None:
    upload = begun(client, len(REQUESTS))
    parts = [sent(client, upload, REQUESTS)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: complete(client, upload, parts), range(4)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    again = complete(client, upload, parts)
    assert {one.json()["file"]["id"] for one in (*answers, again) if one.is_success} == {
        again.json()["file"]["id"]
    }
    with transaction(service.services.sessions) as session:
        assert len(session.scalars(select(FileRow)).all()) == 1
        assert session.scalars(select(HeldBlobRow)).all() == []
    assert len(stored(service, "files")) == 1
    assert code(complete(client, upload, ["part_other"])) == (409, "invalid_transition")


@pytest.mark.parametrize(
    ("ids", "more", "param"),
    [
        (lambda a, b: [a], {}, "part_ids"),
        (lambda a, b: [a, a], {}, "part_ids"),
        (lambda a, b: [a, "part_01ke4c0g1d3f5h7k9m2p4r6t8v"], {}, "part_ids.1"),
        (lambda a, b: [a, b], {"md5": "0" * 32}, "md5"),
    ],
)
def test_a_completion_that_does_not_hold_is_refused_and_can_be_mended(
    client: httpx.Client, ids: Any, more: dict[str, str], param: str
) -> None:
    upload = begun(client, 8)
    first, second = sent(client, upload, b"{}\n{"), sent(client, upload, b"}\n{}")
    answer = complete(client, upload, ids(first, second), **more)
    assert (*code(answer), answer.json()["param"]) == (422, "invalid_request", param)
    assert complete(client, upload, [first, second]).json()["status"] == "completed"


def test_a_file_that_is_no_dataset_leaves_the_upload_pending(client: httpx.Client) -> None:
    upload = begun(client, 5, purpose="fine-tune", filename="x.zip")
    answer = complete(client, upload, [sent(client, upload, b"hello")])
    assert code(answer) == (422, "not_an_archive")
    assert client.get(f"{UPLOADS}/{upload}").json()["status"] == "pending"


def test_the_fields_of_a_file_come_with_the_announcement(
    service: Service, client: httpx.Client
) -> None:
    table = b"words,kind\nhello,a\nbye,b\nhi,a\nciao,b\n"
    upload = begun(
        client,
        len(table),
        purpose="fine-tune",
        filename="greetings.csv",
        name="greetings",
        text_column="words",
        label_column="kind",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    file = complete(client, upload, [sent(client, upload, table)]).json()["file"]
    assert file["expires_at"] == file["created_at"] + 3600
    assert client.get(f"{DATASETS}/{file['id']}").json()["name"] == "greetings"


def test_a_cancelled_upload_takes_nothing_more(service: Service, client: httpx.Client) -> None:
    upload = begun(client, 5)
    sent(client, upload, b"hello")
    assert client.post(f"{UPLOADS}/{upload}/cancel").json()["status"] == "cancelled"
    assert stored(service, "parts") == []
    for answer in (
        part(client, upload, b"x"),
        complete(client, upload, ["part_x"]),
        client.post(f"{UPLOADS}/{upload}/cancel"),
    ):
        assert code(answer) == (409, "invalid_transition")
        assert answer.headers["x-should-retry"] == "false"


def test_an_upload_that_nobody_completes_expires(service: Service, client: httpx.Client) -> None:
    upload = begun(client, 5)
    sent(client, upload, b"hello")
    with transaction(service.services.sessions) as session:
        session.execute(update(UploadRow).values(expires_at=1.0))
    assert client.get(f"{UPLOADS}/{upload}").json()["status"] == "expired"
    assert code(part(client, upload, b"x")) == (409, "invalid_transition")
    assert removal.remove_expired(service.services) == 1
    assert stored(service, "parts") == []
    with transaction(service.services.sessions) as session:
        assert session.scalars(select(UploadPartRow)).all() == []
    assert removal.remove_expired(service.services) == 0


def test_room_is_for_bytes_that_came(service: Service, client: httpx.Client) -> None:
    object.__setattr__(service.settings, "pending_upload_bytes", 1000)
    idle = [begun(client, 1_000_000) for _ in range(5)]  # announced, and nothing more
    sent(client, idle[0], b"x" * 1000)
    answer = part(client, idle[1], b"x")
    assert code(answer) == (507, "storage_full")
    assert "complete or cancel some" in answer.json()["detail"]
    client.post(f"{UPLOADS}/{idle[0]}/cancel")
    sent(client, idle[1], b"x")


def test_a_part_is_stored_once_for_its_key(client: httpx.Client) -> None:
    upload = begun(client, 5)
    headers = {"Idempotency-Key": "part-1"}
    first, again = (part(client, upload, b"hello", **headers) for _ in range(2))
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert len(client.get(f"{UPLOADS}/{upload}/parts").json()["data"]) == 1
    assert code(part(client, upload, b"other", **headers)) == (422, "idempotency_mismatch")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"bytes": 0}, "bytes"),
        ({"bytes": 2**60}, "bytes"),
        ({"purpose": "assistants"}, "purpose"),
        ({"filename": ""}, "filename"),
        ({"file_name": "x"}, "file_name"),
        ({"expires_after": {"anchor": "created_at", "seconds": 1}}, "expires_after.seconds"),
        ({"text_column": "x"}, None),
    ],
)
def test_an_announcement_that_makes_no_sense_is_refused(
    client: httpx.Client, body: dict[str, Any], param: str | None
) -> None:
    whole = {"filename": "x", "bytes": 1, "mime_type": "text/csv", "purpose": "batch"}
    answer = client.post(UPLOADS, json=whole | body)
    assert answer.status_code == 422
    if param:
        assert answer.json()["param"] == param


def test_too_large_is_said_at_once(service: Service, client: httpx.Client) -> None:
    most = service.settings.max_upload_bytes
    body = {"filename": "x", "bytes": most + 1, "mime_type": "text/csv", "purpose": "batch"}
    assert code(client.post(UPLOADS, json=body)) == (413, "payload_too_large")


def test_a_form_without_its_file_is_told_the_fields_name(client: httpx.Client) -> None:
    upload = begun(client, 5)
    path = f"{UPLOADS}/{upload}/parts"
    answer = client.post(path, files={"other": (None, b"x")})
    assert (*code(answer), answer.json()["param"]) == (422, "invalid_request", "data")
    assert client.post(path, content=b"hello", headers={"content-type": "application/octet-stream"})


def test_others_know_nothing_of_it(client: httpx.Client, other_client: httpx.Client) -> None:
    upload = begun(client, 5)
    sent(client, upload, b"hello")
    for answer in (
        other_client.get(f"{UPLOADS}/{upload}"),
        other_client.get(f"{UPLOADS}/{upload}/parts"),
        part(other_client, upload, b"x"),
        complete(other_client, upload, ["part_x"]),
        other_client.post(f"{UPLOADS}/{upload}/cancel"),
    ):
        assert code(answer) == (404, "not_found")


def test_plain_files_are_listed_among_datasets_and_deleted(
    service: Service, client: httpx.Client, sdk: OpenAI
) -> None:
    file = sdk.files.create(
        file=("requests.jsonl", REQUESTS),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert file.id.startswith("file-")
    assert (file.purpose, file.status, file.expires_at) == (
        "batch",
        "processed",
        file.created_at + 3600,
    )
    labelled = sdk.files.create(file=("x.zip", small()), purpose="fine-tune")
    newest = sdk.files.create(file=("more.jsonl", REQUESTS), purpose="batch")
    assert [one.id for one in sdk.files.list(limit=1)] == [newest.id, labelled.id, file.id]
    ascending = [one.id for one in sdk.files.list(limit=1, order="asc")]
    assert ascending == [file.id, labelled.id, newest.id]
    assert [one.id for one in sdk.files.list(purpose="batch", limit=1)] == [newest.id, file.id]
    assert sdk.files.content(file.id).content == REQUESTS
    assert sdk.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        sdk.files.retrieve(file.id)
    assert len(stored(service, "files")) == 1


def test_a_plain_file_expires(service: Service, sdk: OpenAI) -> None:
    sdk.files.create(file=("requests.jsonl", REQUESTS), purpose="batch")
    with transaction(service.services.sessions) as session:
        session.execute(update(FileRow).values(expires_at=1.0))
    assert removal.remove_expired(service.services) == 1
    assert stored(service, "files") == []


@pytest.mark.parametrize("field", ["name", "text_column", "modality"])
def test_a_plain_file_takes_no_wishes(client: httpx.Client, field: str) -> None:
    answer = client.post(
        "/v1/files",
        files={"file": ("r.jsonl", REQUESTS)},
        data={"purpose": "batch", field: "text"},
    )
    assert (*code(answer), answer.json()["param"]) == (422, "invalid_request", field)
