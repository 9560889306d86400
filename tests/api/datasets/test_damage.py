"""Stored bytes that are not what was uploaded: refused, and never given out."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import select

from app.infra import storage_keys
from app.infra.database import transaction
from app.infra.orm import DatasetVersionRow
from tests.api.service import Service
from tests.api.uploading import (
    DATASETS,
    code,
    examples,
    finish,
    made,
)
from tests.archives import folders, zipped


@pytest.mark.parametrize("damage", ["cut", "garbage", "labels"])
def test_a_manifest_that_is_not_what_was_stored_is_refused(
    service: Service, client: httpx.Client, damage: str
) -> None:
    dataset = made(client, zipped(folders({"a": 4, "b": 3})))["id"]
    with transaction(service.services.sessions) as session:
        version = session.scalars(select(DatasetVersionRow)).one()
        key = storage_keys.manifest(version.organisation_id, version.manifest_sha256)
    path = service.services.storage.fetch(key)
    whole = path.read_bytes()
    changed = {"cut": whole[:-40], "garbage": b"{", "labels": whole.replace(b'"b"', b'"a"')}
    assert examples(client, dataset)
    path.write_bytes(changed[damage])
    for part in ("examples", f"examples/ex_{0:024x}"):
        answer = client.get(f"{DATASETS}/{dataset}/{part}")
        assert code(answer) == (503, "dataset_corrupt"), part
    path.write_bytes(whole)
    assert len(examples(client, dataset)) == 7


@pytest.mark.parametrize("damage", ["cut", "flipped"])
@pytest.mark.parametrize("modality", ["image", "text"])
def test_bytes_that_are_not_what_was_uploaded_never_leave(
    service: Service, client: httpx.Client, damage: str, modality: str
) -> None:
    if modality == "image":
        dataset = made(client, zipped(folders({"a": 4, "b": 3})))["id"]
    else:
        told = "".join(f'{{"text": "word {at}", "label": "{"ab"[at % 2]}"}}\n' for at in range(8))
        dataset = made(client, told.encode(), filename="set.jsonl")["id"]
    finish(service, dataset)
    pack = next(key for key in service.services.storage.keys("") if "packs/" in key)
    path = service.services.storage.fetch(pack)
    whole, listed = path.read_bytes(), examples(client, dataset)
    start = whole.index(fetched(client, dataset, str(listed[-1]["id"])).content)
    path.write_bytes(
        whole[: start + 1] if damage == "cut" else whole[:start] + b"\0" + whole[start + 1 :]
    )
    here = f"{DATASETS}/{dataset}"
    assert code(fetched(client, dataset, str(listed[-1]["id"]))) == (503, "dataset_corrupt")
    for form in ("folder", "parquet", "jsonl"):
        answer = client.get(f"{here}/versions/1/export", params={"format": form})
        assert code(answer) == (503, "dataset_corrupt"), form
    assert code(client.get(f"/v1/files/{dataset}/content")) == (503, "dataset_corrupt")
    erasure = client.post(f"{here}/erasures", json={"examples": [listed[0]["id"]]})
    assert code(erasure) == (503, "dataset_corrupt")
    path.write_bytes(whole)
    assert fetched(client, dataset, str(listed[-1]["id"])).status_code == 200


def fetched(client: httpx.Client, dataset: str, example: str) -> httpx.Response:
    return client.get(f"{DATASETS}/{dataset}/examples/{example}/content")
