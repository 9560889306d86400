"""Both storages keep the same four promises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.errors import HeadstartError
from app.infra.settings import Settings
from app.infra.storage import LocalStorage, S3Storage, Storage, open_storage
from tests.s3 import s3_server


@pytest.fixture(params=["local", "s3"])
def storage(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Storage]:
    if request.param == "local":
        yield LocalStorage(tmp_path / "storage")
        return
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with s3_server("bucket") as endpoint:
        settings = Settings(data_dir=tmp_path, storage_url="s3://bucket", storage_endpoint=endpoint)
        yield open_storage(settings)


def put(storage: Storage, key: str, content: bytes, folder: Path) -> None:
    source = folder / "source"
    source.write_bytes(content)
    storage.put(key, source)


def test_what_is_put_is_fetched(storage: Storage, tmp_path: Path) -> None:
    put(storage, "packs/org/abc", b"content", tmp_path)
    assert storage.fetch("packs/org/abc").read_bytes() == b"content"


def test_an_empty_file_is_kept(storage: Storage, tmp_path: Path) -> None:
    put(storage, "packs/org/empty", b"", tmp_path)
    assert storage.fetch("packs/org/empty").read_bytes() == b""


def test_what_was_never_put_is_not_found(storage: Storage) -> None:
    with pytest.raises(FileNotFoundError):
        storage.fetch("packs/org/nothing")


def test_what_is_deleted_is_gone_and_may_be_deleted_again(storage: Storage, tmp_path: Path) -> None:
    put(storage, "a/b/c", b"1", tmp_path)
    storage.delete("a/b/c")
    storage.delete("a/b/c")
    with pytest.raises(FileNotFoundError):
        storage.fetch("a/b/c")


def test_keys_lists_a_folder_and_only_it(storage: Storage, tmp_path: Path) -> None:
    for key in ("a/one", "a/deep/two", "ab/three"):
        put(storage, key, b"x", tmp_path)
    assert sorted(storage.keys("a")) == ["a/deep/two", "a/one"]


def test_a_store_that_is_away_says_so(tmp_path: Path) -> None:
    storage = S3Storage(
        "s3://bucket",
        endpoint="http://127.0.0.1:9",
        cache=tmp_path / "cache",
        retries=0,
    )
    with pytest.raises(HeadstartError) as raised:
        storage.fetch("a/b")
    assert raised.value.code == "storage_unavailable"
