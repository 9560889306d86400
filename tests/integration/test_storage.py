"""Both storages keep the same four promises, and a remote one's slips do not stay."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.core.errors import HeadstartError
from app.infra.settings import Settings
from app.infra.storage import (
    DamagedError,
    LocalStorage,
    S3Storage,
    Storage,
    open_storage,
    sha256_of,
)
from app.infra.storage import remote as remote_store
from tests.s3 import s3_server


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return LocalStorage(tmp_path / "storage")
    remote = request.getfixturevalue("remote")
    assert isinstance(remote, S3Storage)
    return remote


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Storage]:
    """A store in a process of this machine."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with s3_server("bucket") as endpoint:
        settings = Settings(data_dir=tmp_path, storage_url="s3://bucket", storage_endpoint=endpoint)
        opened = open_storage(settings)
        assert isinstance(opened, S3Storage)
        yield opened


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


KEY = "packs/org/abc"


def overwrite(remote: S3Storage, content: bytes, **attributes: str) -> None:
    """Have the store answer with something else."""
    import obstore

    obstore.put(remote.store, KEY, content, attributes=attributes)


def test_what_is_not_what_was_put_is_refused_and_does_not_stay(
    remote: S3Storage, tmp_path: Path
) -> None:
    put(remote, KEY, b"content", tmp_path)
    said = sha256_of(remote.fetch(KEY))
    remote.cache.delete(f"{KEY}/{said}")
    overwrite(remote, b"cont", sha256=said)
    with pytest.raises(DamagedError) as raised:
        remote.fetch(KEY)
    assert raised.value.code == "storage_unavailable"
    overwrite(remote, b"content", sha256=said)
    assert remote.fetch(KEY).read_bytes() == b"content"


def test_a_slip_that_tells_no_hash_is_asked_for_again_soon(
    remote: S3Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overwrite(remote, b"<Error/>")
    assert remote.fetch(KEY).read_bytes() == b"<Error/>"
    put(remote, KEY, b"content", tmp_path)
    monkeypatch.setattr(remote_store, "_UNSAID_SECONDS", 0.0)
    assert remote.fetch(KEY).read_bytes() == b"content"
    assert len(list(remote.cache.keys(KEY))) == 1


def test_a_copy_that_the_disk_damaged_is_fetched_again(remote: S3Storage, tmp_path: Path) -> None:
    put(remote, KEY, b"content", tmp_path)
    copy = remote.fetch(KEY)
    assert remote.fetch(KEY) == copy
    copy.write_bytes(b"c0ntent!")
    assert remote.fetch(KEY).read_bytes() == b"content"


def test_a_copy_of_an_earlier_release_is_fetched_again(remote: S3Storage, tmp_path: Path) -> None:
    put(remote, KEY, b"content", tmp_path)
    former = remote.cache.root / KEY
    former.parent.mkdir(parents=True)
    former.write_bytes(b"whatever")
    assert remote.fetch(KEY).read_bytes() == b"content"


def test_what_others_deleted_is_dropped_with_its_folder(
    remote: S3Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import obstore

    put(remote, KEY, b"content", tmp_path)
    put(remote, "packs/org/stays", b"1", tmp_path)
    copy, stays = remote.fetch(KEY), remote.fetch("packs/org/stays")
    obstore.delete(remote.store, KEY)
    monkeypatch.setattr(remote_store, "OLD_SECONDS", -1.0)
    assert remote.drop_deleted() == 1
    assert not copy.parent.exists()
    assert stays.is_file()


@pytest.mark.parametrize("kept", [None, 0, 3])
@pytest.mark.parametrize("times", [1, 2])
def test_what_the_store_takes_and_does_not_keep_is_refused(
    remote: S3Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int | None, times: int
) -> None:
    """It keeps nothing, an empty object or half of it, and says 200 to all of it."""
    import obstore

    real, calls = obstore.put, []

    def lying(store: object, key: str, source: Path, **more: object) -> object:
        calls.append(key)
        if len(calls) > times:
            return real(store, key, source, **more)  # type: ignore[arg-type]
        if kept is None:
            return {"e_tag": '"d41d8cd98f00b204e9800998ecf8427e"'}
        return real(store, key, source.read_bytes()[:kept], **more)  # type: ignore[arg-type]

    monkeypatch.setattr(obstore, "put", lying)
    if times == 1:
        put(remote, KEY, b"content", tmp_path)
        assert remote.fetch(KEY).read_bytes() == b"content"
        return
    with pytest.raises(HeadstartError, match="has not kept it") as raised:
        put(remote, KEY, b"content", tmp_path)
    assert raised.value.code == "storage_unavailable"


def test_a_bucket_that_is_not_there_is_away_and_has_lost_nothing(
    remote: S3Storage, tmp_path: Path
) -> None:
    other = S3Storage(
        "s3://another", endpoint=str(remote.store.config["endpoint"]), cache=tmp_path / "cache"
    )
    steps = [
        lambda: other.fetch(KEY),
        lambda: put(other, KEY, b"content", tmp_path),
        lambda: other.delete(KEY),
        lambda: list(other.keys("packs")),
    ]
    for step in steps:
        with pytest.raises(HeadstartError) as raised:
            step()
        assert raised.value.code == "storage_unavailable"


def test_files_of_one_folder_are_put_while_its_last_ones_are_deleted(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "storage")

    def put_and_delete(name: str) -> None:
        folder = tmp_path / name
        folder.mkdir()
        for _ in range(300):
            put(storage, f"files/org/{name}", b"content", folder)
            storage.delete(f"files/org/{name}")

    with ThreadPoolExecutor() as threads:
        for done in [threads.submit(put_and_delete, name) for name in "abc"]:
            done.result()
    assert list(storage.keys("files")) == []
    with pytest.raises(FileNotFoundError):
        storage.put("files/org/none", tmp_path / "none")
