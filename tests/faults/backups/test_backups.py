"""Backups under fire: taken while others upload and delete, damaged, interrupted, over something.

On SQLite with a folder, and on Postgres with an S3 store; and from each to the other.
"""

from __future__ import annotations

import hashlib
import json
import random
import tarfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import obstore
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.cli.remote.doctor import examine
from app.core.errors import HeadstartError
from app.infra.database import make_sessions, open_engine, reading
from app.infra.orm import Base, DatasetRow, ModelRow
from app.infra.repositories import references
from app.infra.settings import Settings
from app.infra.storage import S3Storage, open_storage, sha256_of
from app.operations.backups import rows
from app.operations.backups import service as backups
from app.operations.backups.restores import restore
from app.operations.backups.service import back_up
from tests.api.service import serve
from tests.api.uploading import DATASETS, made
from tests.archives import png, zipped
from tests.factories import make_key
from tests.faults.counts import FULL, times
from tests.faults.effects import ready_version
from tests.servers import postgres_database
from tests.unit.app.operations.backup_files import left_in
from tests.worker_kit import Kit, add_job, put
from tests.workers import workers


def everything(settings: Settings) -> dict[str, Any]:
    """Every row, and every stored file that one names, by its hash."""
    engine = open_engine(settings.database)
    with engine.connect() as connection:
        found: dict[str, Any] = {
            table.name: [tuple(row) for row in connection.execute(
                select(table).order_by(*table.primary_key.columns))]
            for table in Base.metadata.sorted_tables
        }  # fmt: skip
    with reading(make_sessions(engine)) as session:
        named = references.named(session)
    engine.dispose()
    storage = open_storage(settings)
    for top in ("packs", "manifests", "embeddings", "models", "files", "parts"):
        stored = {key: sha256_of(storage.fetch(key)) for key in storage.keys(top) if key in named}
        found[f"stored {top}"] = sorted(stored.items())
    return found


@contextmanager
def empty_place(
    kit: Kit, folder: Path, request: pytest.FixtureRequest, *, postgres: bool
) -> Iterator[Settings]:
    with ExitStack() as opened:
        url = ""
        if postgres:
            server = request.getfixturevalue("postgres")
            url = opened.enter_context(postgres_database(server))
        yield Settings(data_dir=folder, database_url=url)


@pytest.fixture
def filled(footing: Kit) -> Kit:
    """A service with datasets, a trained model and a key."""
    with serve(footing.settings) as service:
        with service.client(make_key(footing.sessions, "acme")) as client:
            made(client, zipped({"a/1.png": png(1), "b/2.png": png(2)}))
    with workers(footing, 1):
        footing.wait_job(add_job(footing, ready_version(footing)))
    put_beside_head(footing, "held_out.jsonl", b"{}")
    return footing


def put_beside_head(kit: Kit, name: str, data: bytes) -> None:
    """A file of the model's that its card names, as a real fit leaves one."""
    digest = hashlib.sha256(data).hexdigest()

    def named(session: Session) -> str:
        row = session.scalars(select(ModelRow)).one()
        row.card = {**row.card, "held_out": {"file": name, "sha256": digest}}
        return row.artifact

    put(kit, f"{kit.commit(named)}/{name}", data)


@pytest.mark.servers
@pytest.mark.parametrize("to_postgres", [False, True])
def test_a_backup_holds_every_row_and_file(
    filled: Kit, tmp_path: Path, request: pytest.FixtureRequest, to_postgres: bool
) -> None:
    target = tmp_path / "backup.tar"
    done = back_up(filled.settings, target)
    assert (done.missing, target.stat().st_mode & 0o777) == ([], 0o600)
    with empty_place(filled, tmp_path / "new", request, postgres=to_postgres) as empty:
        restore(empty, target)
        assert everything(empty) == everything(filled.settings)
        with pytest.raises(HeadstartError) as refused:
            restore(empty, target)
        assert refused.value.code == "in_use"
        with serve(empty) as service, service.client(make_key(filled.sessions)) as stranger:
            assert stranger.get("/v1/me").status_code == 401  # a key made after the backup


def test_a_backup_is_whole_while_others_upload_and_delete(filled: Kit, tmp_path: Path) -> None:
    """Every dataset that the restored rows name can be read, whatever went meanwhile."""
    stop, dice = threading.Event(), random.Random(4)
    key = make_key(filled.sessions, "acme")

    def churn(url: str) -> None:
        with serve(filled.settings) as service, service.client(key) as client:
            mine: list[str] = []
            while not stop.wait(0.2):
                seed = dice.randrange(10**6)
                archive = zipped({"a/1.png": png(seed), "b/2.png": png(seed + 1)})
                mine.append(made(client, archive)["id"])
                if len(mine) > 3:
                    gone = mine.pop(dice.randrange(len(mine)))
                    assert client.delete(f"{DATASETS}/{gone}").status_code == 200

    thread = threading.Thread(target=churn, args=("",))
    thread.start()
    try:
        for number in range(times(4, 40)):
            target = tmp_path / f"backup{number}"
            assert back_up(filled.settings, target).missing == []
            empty = Settings(data_dir=tmp_path / f"new{number}")
            restore(empty, target)
            assert_readable(empty)
    finally:
        stop.set()
        thread.join()


def assert_readable(settings: Settings) -> None:
    engine = open_engine(settings.database)
    sessions = make_sessions(engine)
    with reading(sessions) as session:
        ids = list(
            session.scalars(select(DatasetRow.id).where(DatasetRow.organisation_id == "acme"))
        )
    with serve(settings) as service, service.client(make_key(sessions, "acme")) as client:
        assert ids
        for dataset in ids:
            assert client.get(f"/v1/files/{dataset}/content").status_code == 200
    engine.dispose()


def test_a_file_that_goes_between_rows_and_copy_has_the_rows_read_again(
    filled: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key(filled.sessions, "acme")
    with serve(filled.settings) as service, service.client(key) as client:
        gone = made(client, zipped({"a/8.png": png(8), "b/9.png": png(9)}))["id"]
        save, rounds = rows.save, []

        def and_delete(*given: Any) -> None:
            save(*given)
            rounds.append(1)
            client.delete(f"{DATASETS}/{gone}")

        monkeypatch.setattr(rows, "save", and_delete)
        assert back_up(filled.settings, tmp_path / "backup").missing == []
    assert len(rounds) == 2


@pytest.mark.parametrize("first", ["head.safetensors", "held_out.jsonl"])
def test_a_model_that_goes_while_its_files_are_copied_is_in_it_as_a_whole_or_not_at_all(
    filled: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    model = filled.read(lambda session: session.scalars(select(ModelRow)).one())
    key, copied = make_key(filled.sessions, "acme"), backups._copy
    with serve(filled.settings) as service, service.client(key) as client:

        def and_delete(storage: Any, name: str, target: Path) -> None:
            copied(storage, name, target)
            if name == f"{model.artifact}/{first}":
                assert client.delete(f"/v1/models/{model.id}").status_code == 200

        monkeypatch.setattr(backups, "_copy", and_delete)
        assert back_up(filled.settings, tmp_path / "backup").missing == []
    empty = Settings(data_dir=tmp_path / "new")
    restore(empty, tmp_path / "backup")
    assert everything(empty)["models"] == everything(empty)["stored models"] == []


@pytest.mark.parametrize("file", ["a pack", "head.safetensors", "model.json", "held_out.jsonl"])
def test_what_is_missing_in_storage_is_told(filled: Kit, tmp_path: Path, file: str) -> None:
    if isinstance(filled.storage, S3Storage) and file != "a pack" and not FULL:
        pytest.skip("which file it is has nothing to do with the store: `make faults` runs it")
    named = filled.read(references.named)
    top, end = ("packs", "") if file == "a pack" else ("models", file)
    lost = next(key for key in filled.storage.keys(top) if key in named and key.endswith(end))
    filled.storage.delete(lost)
    assert back_up(filled.settings, tmp_path / "backup").missing == [lost]
    listed = json.loads((tmp_path / "backup" / "backup.json").read_text())
    assert listed["missing"] == [lost]


def test_what_a_remote_store_lost_is_told_whatever_is_kept_of_it_here(
    filled: Kit, tmp_path: Path
) -> None:
    """A copy of the host's is no reason to call the store whole."""
    if not isinstance(filled.storage, S3Storage):
        pytest.skip("a local folder has no copies")
    named = filled.read(references.named)
    lost = next(key for key in filled.storage.keys("packs") if key in named)
    digest = sha256_of(filled.storage.fetch(lost))
    obstore.put(filled.storage.store, lost, b"another", attributes={"sha256": digest})
    (told,) = [one for one in examine(filled.settings, files=True) if one.name == "files"]
    assert f"{lost} (not what was stored)" in told.said
    assert back_up(filled.settings, tmp_path / "by-the-copy").missing == []
    for copy in list(filled.storage.cache.keys(lost)):
        filled.storage.cache.delete(copy)
    assert back_up(filled.settings, tmp_path / "backup").missing == [lost]


@pytest.mark.parametrize("damage", ["flipped", "cut", "lost", "strange", "empty"])
def test_a_damaged_backup_is_refused_and_leaves_nothing(
    filled: Kit, tmp_path: Path, damage: str
) -> None:
    target = tmp_path / "backup.tar"
    back_up(filled.settings, target)
    data = bytearray(target.read_bytes())
    if damage == "flipped":
        at = data.rindex(b"head.safetensors") + 1000
        data[at] ^= 1
    elif damage in ("cut", "empty"):
        data = data[: len(data) // 2 if damage == "cut" else 0]
    target.write_bytes(data)
    if damage in ("lost", "strange"):
        rewritten(target, lose=damage == "lost")
    empty = Settings(data_dir=tmp_path / "new")
    with pytest.raises(HeadstartError) as refused:
        restore(empty, target)
    assert refused.value.code == "invalid_value"
    assert left_in(empty.data_dir) == {}
    assert not (tmp_path / "outside").exists()


def rewritten(target: Path, *, lose: bool) -> None:
    """The tar without its last file, or with one that leads outside."""
    whole = target.with_name("whole.tar")
    target.rename(whole)
    with tarfile.open(whole) as source, tarfile.open(target, "w") as out:
        members = source.getmembers()
        for member in members[:-1] if lose else members:
            out.addfile(member, source.extractfile(member))
        if not lose:
            out.addfile(tarfile.TarInfo("storage/../../outside"))


def test_an_interrupted_restore_may_be_begun_again(
    filled: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(filled.settings, tmp_path / "backup")
    empty = Settings(data_dir=tmp_path / "new")

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(rows, "load", die)
        with pytest.raises(KeyboardInterrupt):
            restore(empty, tmp_path / "backup")
    assert left_in(empty.data_dir) == {}
    restore(empty, tmp_path / "backup")
    assert everything(empty) == everything(filled.settings)
