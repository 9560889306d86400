"""Erased is erased: whoever works meanwhile, is killed or sends it again, no byte is left of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.datasets.erasing import turn
from app.infra import erasure
from app.infra.database import make_sessions, open_engine
from app.infra.orm import (
    DatasetRow,
    DatasetVersionRow,
    EmbeddingRow,
    ExampleErasureRow,
    HeldBlobRow,
    WorkRow,
)
from app.infra.settings import Settings
from app.infra.storage import open_storage
from app.operations.backups.restores import restore
from app.operations.backups.service import back_up
from tests.api.uploading import DATASETS, appended, examples, made, send
from tests.archives import png, zipped
from tests.batch_kit import contents, lines, over_version, row_of, trained, wait_batch
from tests.factories import settle
from tests.faults.test_deletions import (
    FIRST,
    KilledError,
    age,
    bytes_left,
    chore,
    embed,
    indexed,
    kill,
    sha,
    stored,
)
from tests.faults.two_apps import interrupt, two_apps
from tests.integration.worker.conftest import training
from tests.worker_kit import Kit, add_dataset

A, B, NEW = (png(950 + number) for number in range(3))


def ready(footing: Kit, name: str) -> None:
    """All versions of the dataset become ready, as by a trainer."""

    def finish(session: Any) -> None:
        of = DatasetVersionRow
        wanted = select(of).where(of.dataset_id == name, of.status == "processing")
        for version in session.scalars(wanted).all():
            settle(session, version)

    footing.commit(finish)


def dataset(footing: Kit, client: httpx.Client) -> str:
    """Two versions, both with FIRST; all of it embedded."""
    name = str(made(client, zipped({"a/1.png": FIRST, "a/2.png": A, "b/1.png": B}))["id"])
    ready(footing, name)
    appended(client, name, {"b/2.png": png(3)})
    ready(footing, name)
    embed(footing, FIRST, A, B, png(3))
    return name


def erase(client: httpx.Client, name: str, **options: Any) -> httpx.Response:
    return client.post(f"{DATASETS}/{name}/erasures", json={"sha256": sha(FIRST)} | options)


def assert_gone(footing: Kit, client: httpx.Client, name: str) -> None:
    """Nothing is left of FIRST, and all else can be read in every version."""
    age(footing)
    chore(footing)
    (told,) = client.get(f"{DATASETS}/{name}/erasures").json()["data"]
    assert (told["status"], told["deletion"]["remaining"]) == ("done", {})
    assert bytes_left(footing, FIRST) == 0
    assert sha(FIRST) not in indexed(footing)
    for version in client.get(f"{DATASETS}/{name}/versions").json()["data"]:
        listed = examples(client, name, version=version["version"])
        assert version["num_examples"] == len(listed)
        for one in listed:
            url = f"{DATASETS}/{name}/examples/{one['id']}/content"
            content = client.get(url, params={"version": version["version"]}).content
            assert sha(content) == one["sha256"]
    if not footing.settings.storage_url:
        assert left_in(footing.settings.data_dir, FIRST) == []


def left_in(folder: Path, trace: bytes) -> list[str]:
    return [one.name for one in folder.rglob("*") if one.is_file() and trace in one.read_bytes()]


def test_no_byte_is_left_in_any_version(footing: Kit) -> None:
    with two_apps(footing) as (_, _, client, other):
        name = dataset(footing, client)
        answer = erase(client, name)
        assert answer.status_code == 201, answer.text
        told = answer.json()
        assert (told["status"], told["deletion"]["remaining"]["segments"]) == ("pending", 1)
        assert_gone(footing, other, name)
        assert indexed(footing) == {sha(A), sha(B), sha(png(3))}


BEFORE = [("put", 1), ("put", 4), ("fetch", 1), ("fetch", 3)]
AFTER = [("delete", 1), ("delete", 3)]


@pytest.mark.parametrize(("verb", "at"), BEFORE)
def test_killed_before_the_commit_nothing_is_changed(footing: Kit, verb: str, at: int) -> None:
    with two_apps(footing) as (one, _, first, second):
        name = dataset(footing, first)
        before = sorted(stored(footing))
        interrupt(one, verb, at=at, before=True, then=kill)
        assert erase(first, name).status_code == 500
        assert sorted(stored(footing)) == before
        assert second.get(f"{DATASETS}/{name}/erasures").json()["data"] == []
        assert footing.read(lambda session: session.query(HeldBlobRow).count()) == 0
        assert erase(second, name).status_code == 201
        assert_gone(footing, second, name)


@pytest.mark.parametrize(("verb", "at"), AFTER)
def test_killed_after_the_commit_a_trainer_ends_it(footing: Kit, verb: str, at: int) -> None:
    with two_apps(footing) as (one, _, first, second):
        name = dataset(footing, first)
        interrupt(one, verb, at=at, before=True, then=kill)
        answer = erase(first, name)
        assert (answer.status_code, answer.json()["status"]) == (201, "pending")
        assert_gone(footing, second, name)


def append(client: httpx.Client, name: str) -> httpx.Response:
    members = zipped({"a/again.png": FIRST, "b/new.png": NEW})
    return send(client, members, to=f"{DATASETS}/{name}/examples")


@pytest.mark.parametrize("at", [1, 2])
def test_an_append_under_way_brings_nothing_back(footing: Kit, at: int) -> None:
    """The erasure comes between an upload's steps: its pack is stored, or its manifest is."""
    with two_apps(footing) as (one, _, first, second):
        name = dataset(footing, first)
        interrupt(one, "put", at=at, then=lambda: erase(second, name).raise_for_status())
        refused = append(first, name)
        assert (refused.status_code, refused.json()["code"]) == (409, "in_flight")
        assert_gone(footing, first, name)
        taken = append(first, name)
        assert taken.status_code == 201, taken.text
        assert [one["code"] for one in taken.json()["problems"]] == ["example_erased"]
        ready(footing, name)
        assert "b/new.png" in {one["path"] for one in examples(first, name)}
        assert_gone(footing, first, name)


def test_a_change_under_way_is_made_to_what_is_left(footing: Kit) -> None:
    with two_apps(footing) as (one, _, first, second):
        name = dataset(footing, first)
        moved = next(o["id"] for o in examples(first, name) if o["path"] == "a/2.png")
        interrupt(one, "put", at=1, then=lambda: erase(second, name).raise_for_status())
        url = f"{DATASETS}/{name}/examples/{moved}"
        first.patch(url, json={"group": "g"}).raise_for_status()
        ready(footing, name)
        assert len(examples(first, name)) == 3
        assert_gone(footing, first, name)


def drop_dataset(client: httpx.Client, name: str) -> None:
    client.delete(f"{DATASETS}/{name}").raise_for_status()


def append_other(client: httpx.Client, name: str) -> None:
    appended(client, name, {"b/new.png": NEW})


def erase_too(client: httpx.Client, name: str) -> None:
    erase(client, name).raise_for_status()


MEANWHILE: dict[str, tuple[Callable[[httpx.Client, str], None], int]] = {
    "the dataset is deleted": (drop_dataset, 404),
    "a version is begun": (append_other, 409),
    "another erases the same": (erase_too, 404),
}


@pytest.mark.parametrize("what", MEANWHILE)
def test_what_comes_between_reading_and_committing_is_seen(
    footing: Kit, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "_MAKING_SECONDS", 0.0)
    then, status = MEANWHILE[what]
    with two_apps(footing) as (one, _, first, second):
        name = dataset(footing, first)
        interrupt(one, "put", at=1, then=lambda: then(second, name))
        assert erase(first, name).status_code == status
        if what == "a version is begun":
            ready(footing, name)
            assert erase(second, name).status_code == 201
        if what == "the dataset is deleted":
            chore(footing)
            assert bytes_left(footing, FIRST) == 0
            assert footing.read(lambda session: session.query(ExampleErasureRow).count()) == 0
        else:
            assert_gone(footing, second, name)


def test_two_erasures_at_once_are_both_done(footing: Kit) -> None:
    with two_apps(footing) as (one, _, first, second):
        name = dataset(footing, first)
        also = {"sha256": sha(A)}
        then = lambda: second.post(f"{DATASETS}/{name}/erasures", json=also).raise_for_status()  # noqa: E731
        interrupt(one, "put", at=1, then=then)
        assert erase(first, name).status_code == 201
        age(footing)
        chore(footing)
        told = first.get(f"{DATASETS}/{name}/erasures").json()["data"]
        assert [one["status"] for one in told] == ["done", "done"]
        assert [bytes_left(footing, data) for data in (FIRST, A)] == [0, 0]
        assert len(examples(first, name)) == 2
        assert footing.read(lambda session: session.get_one(DatasetRow, name).erasures) == 2


def test_results_of_batches_name_it_no_more(footing: Kit) -> None:
    members = contents(6)
    with two_apps(footing) as (_, _, client, _):
        with training(footing):
            version, model = trained(footing, members)
            batch = over_version(footing, model, version)
            wait_batch(footing, batch)
        before = lines(footing, batch)
        url = f"{DATASETS}/{version.dataset_id}/erasures"
        answer = client.post(url, json={"examples": [before[2]["id"]]})
        assert answer.status_code == 201, answer.text
        (told,) = answer.json()["models_fitted_on_it"]
        assert (told["model"], told["kept"]) == (model, True)
        after = lines(footing, batch)
        assert [one["index"] for one in after] == list(range(6))
        assert after[2].keys() == {"index", "error"}
        assert after[2]["error"]["code"] == "example_erased"
        assert [one for one in after if one["index"] != 2] == [
            one for one in before if one["index"] != 2
        ]
        assert row_of(footing, batch).failed == 1
        age(footing)
        chore(footing)
        erasure.finish(footing.sessions, footing.storage, "acme")
        assert before[2]["id"].encode() not in b"".join(
            footing.storage.fetch(key).read_bytes() for key in stored(footing)
        )


def test_a_backup_from_the_middle_of_it_is_restored_to_its_end(
    footing: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is still to be forgotten is in the backup, too: the list of it, and so its end."""

    def killed(*_: object) -> int:
        raise KilledError

    with two_apps(footing) as (_, _, client, _):
        name = dataset(footing, client)
        monkeypatch.setattr(erasure, "finish", killed)
        assert erase(client, name).json()["status"] == "pending"
        taken = back_up(footing.settings, tmp_path / "backup")
        monkeypatch.undo()
    assert taken.missing == []
    settings = Settings(data_dir=tmp_path / "restored")
    restore(settings, tmp_path / "backup")
    engine = open_engine(settings.database)
    again = Kit(settings, engine, make_sessions(engine), open_storage(settings))
    with two_apps(again) as (_, _, client, _):
        assert sha(FIRST) in indexed(again)
        assert_gone(again, client, name)
    engine.dispose()


def test_embedding_for_idle_time_begins_anew_without_it(footing: Kit) -> None:
    """A trainer has embedded a further view of it, and is about to say where that lies."""
    members = contents(6)
    gone = sha(members[2][2])
    with two_apps(footing) as (_, _, client, _), training(footing) as context:
        put, answers = context.storage.put, list[httpx.Response]()

        def interrupted(key: str, source: Path) -> None:
            if key.startswith("embeddings/") and "-squish/" not in key and not answers:
                url = f"{DATASETS}/{version.dataset_id}/erasures"
                answers.append(client.post(url, json={"sha256": gone}))
            put(key, source)

        context.storage.put = interrupted  # type: ignore[method-assign]
        version = add_dataset(footing, members)
        footing.wait(lambda: answers, 120)
        assert answers[0].status_code == 201, answers[0].text
        footing.wait(lambda: not open_work(footing), 120)
        found = footing.read(lambda session: list(session.scalars(select(EmbeddingRow))))
        views = {one.key for one in found}
        assert len(views) > 1
        left = {sha(data) for _, _, data in members} - {gone}
        for view in views:
            assert {one.sha256 for one in found if one.key == view} == left
        assert client.get(f"{DATASETS}/{version.dataset_id}").json()["num_examples"] == 5


def open_work(footing: Kit) -> list[str]:
    wanted = select(WorkRow.id).where(WorkRow.state.in_(["queued", "running"]))
    return footing.read(lambda session: list(session.scalars(wanted)))
