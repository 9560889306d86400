"""DELETE really deletes: whoever else deletes or is killed meanwhile, no content is left.

With the answer, rows, packs, manifests and the index of embeddings are gone; segments that hold
rows of others too are rewritten by the next trainer; copies on other hosts go within the hour.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import func, select, update

from app.infra import erasure, storage_keys
from app.infra.orm import Base, DeletedFileRow, EmbeddingRow, ErasureRow, SegmentRow
from app.infra.repositories import deletions, embeddings, erasures
from app.infra.repositories.deletions import everything
from app.infra.storage import S3Storage, open_storage
from tests.api.uploading import DATASETS, made
from tests.archives import png, zipped
from tests.factories import make_key
from tests.faults.two_apps import interrupt, two_apps
from tests.worker_kit import Kit
from worker.formats import segments
from worker.trainer.embedding_cache import EmbeddingCache

WIDTH = 64
SHARED, FIRST, SECOND, THIRD = (png(900 + number) for number in range(4))


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def vector(data: bytes) -> np.ndarray:
    """An embedding that only this content has."""
    seed = int(sha(data)[:8], 16)
    return np.random.default_rng(seed).normal(size=WIDTH).astype(np.float16)


def embed(footing: Kit, *contents: bytes) -> None:
    """One segment, as a trainer makes it."""
    file = footing.settings.data_dir / "segment.npy"
    segments.save(file, np.array([vector(data) for data in contents]))
    size, key = (
        file.stat().st_size,
        storage_keys.segment("acme", "k", f"seg_{sha(contents[0])[:8]}"),
    )
    footing.storage.put(key, file)
    segment_id = key.rpartition("/")[2].removesuffix(".npy")
    footing.commit(
        lambda session: embeddings.add_segment(
            session, segment_id, organisation_id="acme", key="k",
            sha256s=[sha(data) for data in contents], size=size,
        )
    )  # fmt: skip


def indexed(footing: Kit) -> set[str]:
    return set(footing.read(lambda session: list(session.scalars(select(EmbeddingRow.sha256)))))


def bytes_left(footing: Kit, data: bytes) -> int:
    """How often a content's embedding, or the content, lies in storage."""
    found = 0
    for folder in ("packs", "manifests", "embeddings"):
        for key in footing.storage.keys(folder):
            stored = footing.storage.fetch(key).read_bytes()
            found += stored.count(vector(data).tobytes()) + stored.count(data)
            found += stored.count(sha(data).encode())
    return found


def chore(footing: Kit, *, seconds: float = 0.0) -> None:
    """What a trainer's chores do about deletions."""
    for overdue in (erasures.overdue, deletions.overdue):
        for one in footing.read(lambda session, of=overdue: of(session, seconds=seconds)):
            erasure.finish(footing.sessions, footing.storage, one)
    cache = EmbeddingCache(footing.sessions, footing.storage, quota=10**9)
    while cache.compact(footing.settings.data_dir / "staging"):
        pass
    footing.commit(deletions.settle)


def age(footing: Kit) -> None:
    """What deletions have left is so old that nobody else does it."""
    for of in (ErasureRow, DeletedFileRow):
        footing.commit(lambda session, of=of: session.execute(update(of).values(created_at=0.0)))


def dataset(client: httpx.Client, one: bytes, other: bytes) -> str:
    return str(made(client, zipped({"a/1.png": one, "b/2.png": other}))["id"])


def delete(client: httpx.Client, name: str) -> dict[str, Any]:
    answer = client.delete(f"{DATASETS}/{name}")
    assert answer.status_code == 200, answer.text
    told = answer.json()["deletion"]
    assert told["subject"] == {"object": "dataset", "id": name}
    assert told == client.get(f"/v1/deletions/{told['id']}").json()
    return dict(told)


def stored(footing: Kit, organisation_id: str = "acme") -> list[str]:
    """Every file that the organisation has in storage."""
    folders = storage_keys.all_of(organisation_id)
    return [key for folder in folders for key in footing.storage.keys(folder.rstrip("/"))]


def test_a_deleted_content_leaves_no_byte(footing: Kit) -> None:
    with two_apps(footing) as (_, _, client, _):
        gone, kept = dataset(client, FIRST, SHARED), dataset(client, SHARED, SECOND)
        embed(footing, FIRST, SHARED, SECOND)
        told = delete(client, gone)
        assert (told["status"], told["remaining"]["segments"]) == ("pending", 1)
        assert told["copies_gone_at"] is None
        assert indexed(footing) == {sha(SHARED), sha(SECOND)}
        chore(footing)
        assert bytes_left(footing, FIRST) == 0
        assert bytes_left(footing, SHARED) >= 3
        done = client.get(f"/v1/deletions/{told['id']}").json()
        assert (done["status"], done["remaining"]) == ("done", {})
        assert done["removed"] == {"versions": 1, "contents": 1, "embeddings": 1, "files": 2}
        assert done["kept"] == {"contents": 1, "files": 0}
        assert done["copies_gone_at"] > done["finished_at"] >= done["created_at"]
        last = delete(client, kept)
        assert (last["status"], last["remaining"]) == ("done", {})
        assert last["removed"] == {"versions": 1, "contents": 2, "embeddings": 2, "files": 3}
        assert stored(footing) == []
        for content in (FIRST, SHARED, SECOND):
            assert bytes_left(footing, content) == 0


@pytest.mark.parametrize("at", [1, 2])
def test_of_two_deletions_that_share_a_content_one_forgets_it(footing: Kit, at: int) -> None:
    """The second comes between the first one's commit and its looks at who else has what."""
    with two_apps(footing) as (one, _, first, second):
        mine, yours = dataset(first, FIRST, SHARED), dataset(first, SHARED, SECOND)
        dataset(first, THIRD, png(1))
        embed(footing, FIRST, SHARED, SECOND, THIRD)
        interrupt(one, "fetch", at=at, then=lambda: delete(second, yours))
        delete(first, mine)
        assert indexed(footing) == {sha(THIRD)}
        chore(footing)
        assert [bytes_left(footing, data) for data in (FIRST, SHARED, SECOND)] == [0, 0, 0]
        assert bytes_left(footing, THIRD) >= 3


class KilledError(OSError):
    """Stands for the end of the process: nothing after it is done."""


def kill() -> None:
    raise KilledError


@pytest.mark.parametrize(("verb", "at"), [("delete", 1), ("fetch", 1), ("fetch", 2), ("delete", 2)])
def test_what_a_killed_deletion_has_not_done_a_trainer_does(
    footing: Kit, verb: str, at: int
) -> None:
    with two_apps(footing) as (one, _, first, second):
        gone, kept = dataset(first, FIRST, SHARED), dataset(first, SHARED, SECOND)
        embed(footing, FIRST, SHARED, SECOND)
        interrupt(one, verb, at=at, before=True, then=kill)
        delete(first, gone)
        age(footing)
        chore(footing, seconds=60)
        (told,) = first.get("/v1/deletions").json()["data"]
        assert (told["status"], told["removed"]) == (
            "done",
            {"versions": 1, "contents": 1, "embeddings": 1, "files": 2},
        )
        assert indexed(footing) == {sha(SHARED), sha(SECOND)}
        assert footing.read(lambda session: session.query(ErasureRow).count()) == 0
        delete(second, kept)
        assert footing.read(lambda session: session.query(SegmentRow).count()) == 0


def test_everything_that_an_organisation_holds_goes_at_once(footing: Kit) -> None:
    with two_apps(footing) as (one, _, client, _), ExitStack() as opened:
        dataset(client, FIRST, SHARED)
        embed(footing, FIRST, SHARED)
        other = opened.enter_context(one.client(make_key(footing.sessions, "other")))
        theirs = dataset(other, SHARED, SECOND)
        there, path = len(stored(footing)), "/v1/organizations/{}/content"
        assert client.delete(path.format("me")).status_code == 422
        assert client.delete(path.format("me"), params={"confirm": "me"}).status_code == 422
        foreign = client.delete(path.format("other"), params={"confirm": "other"})
        assert foreign.status_code == 403
        answer = client.delete(path.format("me"), params={"confirm": "acme"})
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert (told["status"], told["remaining"]) == ("done", {})
        removed = told["removed"]
        assert (removed["datasets"], removed["dataset_versions"], removed["work"]) == (1, 1, 1)
        assert (removed["embeddings"], removed["files"]) == (2, there)
        assert stored(footing) == []
        assert rows_of(footing, "acme") == {}
        assert client.get(DATASETS).json()["data"] == []
        assert other.get(f"{DATASETS}/{theirs}").status_code == 200
        assert len(stored(footing, "other")) == 2
        dataset(client, FIRST, SHARED)
        assert client.get(f"/v1/deletions/{told['id']}").json()["removed"] == removed


def rows_of(footing: Kit, organisation_id: str) -> dict[str, int]:
    """How many rows of it each table has that is not meant to keep them."""
    kept = {of.__tablename__ for of in everything.KEPT}
    tables = [one for one in Base.metadata.sorted_tables if "organisation_id" in one.c]
    with footing.engine.connect() as connection:
        counts = {
            table.name: connection.scalar(
                select(func.count())
                .select_from(table)
                .where(table.c.organisation_id == organisation_id)
            )
            for table in tables
            if table.name not in kept
        }
    return {name: count for name, count in counts.items() if count}


def test_what_is_deleted_while_the_store_is_away_goes_later(footing: Kit) -> None:
    with two_apps(footing) as (one, _, client, _):
        before = stored(footing)
        gone = dataset(client, FIRST, SECOND)
        embed(footing, FIRST, SECOND)
        interrupt(one, "delete", at=1, before=True, then=kill)
        told = delete(client, gone)
        assert told["status"] == "pending"
        assert told["remaining"]["files"] == 3
        age(footing)
        chore(footing, seconds=60)
        assert client.get(f"/v1/deletions/{told['id']}").json()["status"] == "done"
        assert stored(footing) == before


def test_other_hosts_forget_their_copies(footing: Kit, tmp_path: Path) -> None:
    if not footing.settings.storage_url:
        pytest.skip("a local folder has no copies")
    elsewhere = open_storage(footing.settings.model_copy(update={"data_dir": tmp_path / "host"}))
    assert isinstance(elsewhere, S3Storage)
    with two_apps(footing) as (_, _, client, _):
        gone, kept = dataset(client, FIRST, SHARED), dataset(client, SHARED, SECOND)
        keys = [key for folder in ("packs", "manifests") for key in footing.storage.keys(folder)]
        for key in keys:
            elsewhere.fetch(key)
        delete(client, gone)
        assert elsewhere.drop_deleted() == 2
        assert client.get(f"{DATASETS}/{kept}").status_code == 200
        for key in footing.storage.keys("packs"):
            assert list(elsewhere.cache.keys(key))
    assert elsewhere.drop_deleted() == 0
