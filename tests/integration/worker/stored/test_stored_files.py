"""Damage in any stored file is found by `headstart doctor --files`, and nothing else is named."""

from __future__ import annotations

from app.cli.remote.doctor import Finding, examine
from app.infra import storage_keys
from app.infra.database import reading, transaction
from app.infra.orm import FileRow, SegmentRow
from app.infra.repositories.openai import files
from app.infra.repositories.openai.files import NewFile
from app.infra.storage import sha256_of
from app.operations.stored_files import looked_at
from tests.integration.worker.conftest import LIGHT, training
from tests.worker_kit import Kit, add_dataset, add_job


def wrong(kit: Kit) -> dict[str, str]:
    told = looked_at(kit.sessions, kit.storage)
    return {one.key: one.wrong for one in told if one.wrong is not None}


def said(kit: Kit) -> Finding:
    (found,) = [one for one in examine(kit.settings, files=True) if one.name == "files"]
    return found


def add_file(kit: Kit) -> None:
    path = kit.settings.data_dir / "plain"
    path.write_bytes(b'{"custom_id": "1"}\n')
    key = storage_keys.file("acme", "file-1")
    new = NewFile(
        id="file-1", purpose="batch", filename="x.jsonl", bytes=path.stat().st_size,
        sha256=sha256_of(path), key=key, expires_after=None,
    )  # fmt: skip
    kit.storage.put(key, path)
    with transaction(kit.sessions) as session:
        files.create(session, new, organisation_id="acme")


def test_every_damaged_or_missing_file_is_named(sqlite_kit: Kit) -> None:
    kit = sqlite_kit
    members = [(f"c{n % 2}/{n}", f"c{n % 2}", f"{n}".encode()) for n in range(10)]
    with training(kit, LIGHT):
        job = kit.wait_job(add_job(kit, add_dataset(kit, members)))
    assert job.status == "succeeded", job.error
    add_file(kit)
    told = [one.key for one in looked_at(kit.sessions, kit.storage)]
    keys = set(told)
    assert len(told) == len(keys), "of two words on one file the latter would hide the former"
    assert {key.partition("/")[0] for key in keys} >= {"packs", "manifests", "embeddings", "models"}
    assert keys == {key for key in kit.storage.keys("") if not key.endswith(".bundle")}
    assert wrong(kit) == {}
    assert said(kit) == Finding("files", True, f"{len(keys)} are what was stored")
    for key in sorted(keys):
        path = kit.storage.fetch(key)
        whole = path.read_bytes()
        path.write_bytes(whole[:1] + bytes([whole[1] ^ 1]) + whole[2:])
        assert list(wrong(kit)) == [key]
        path.write_bytes(whole[:-3] if "packs" not in key else whole[:1])
        assert list(wrong(kit)) == [key]
        kit.storage.delete(key)
        assert wrong(kit) == {key: "missing"}
        found = said(kit)
        assert not found.fine
        assert f"{key} (missing)" in found.said
        source = kit.settings.data_dir / "again"
        source.write_bytes(whole)
        kit.storage.put(key, source)
    assert wrong(kit) == {}
    with reading(kit.sessions) as session:
        assert session.query(FileRow).count() == 1
        assert all(row.sha256 for row in session.query(SegmentRow))
