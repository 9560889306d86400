"""Promise 1: nothing accepted is lost, whoever deletes and sweeps at the same time.

Two apps on one database and one storage are stopped between each two of their steps, while the
other does everything that deletes; and two processes race.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from app.infra.orm import DatasetRow, HeldBlobRow
from app.infra.repositories import holds
from app.infra.storage import Storage
from tests.api.service import Service, serve
from tests.api.uploading import DATASETS, code, made, send, small
from tests.archives import png, zipped
from tests.factories import make_key
from tests.faults.conftest import BRISK
from tests.faults.counts import times
from tests.s3 import s3_server
from tests.servers import free_port, postgres_database, wait_for
from tests.worker_kit import Kit, open_kit
from tests.worker_kit import put as put_file
from tests.workers import ROOT, environment
from worker.trainer.idle.sweeper import Sweeper

ROUNDS = times(25, 300)
Step = Callable[[], object]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def kit(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Kit]:
    """SQLite on a local folder, and Postgres on an S3-compatible store."""
    with ExitStack() as opened:
        settings: dict[str, Any] = dict(BRISK)
        if request.param == "postgres":
            for name, value in {
                "ACCESS_KEY_ID": "t",
                "SECRET_ACCESS_KEY": "t",
                "REGION": "x",
            }.items():
                monkeypatch.setenv(f"AWS_{name}", value)
            endpoint = opened.enter_context(s3_server("bucket"))
            url = opened.enter_context(postgres_database(request.getfixturevalue("postgres")))
            settings |= {
                "database_url": url,
                "storage_url": "s3://bucket",
                "storage_endpoint": endpoint,
            }
        made_kit = open_kit(tmp_path, **settings)
        opened.callback(made_kit.engine.dispose)
        yield made_kit


class Stepped:
    """A storage that does something else after its `at`-th step of the kind `verb`."""

    def __init__(self, storage: Storage, verb: str, *, before: bool, at: int, then: Step) -> None:
        self._storage = storage
        self._verb = verb
        self._before = before
        self._left = at
        self._then = then

    def __getattr__(self, verb: str) -> Any:
        found = getattr(self._storage, verb)
        return self._stepped(found) if verb == self._verb else found

    def _stepped(self, verb: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any) -> Any:
            self._left -= 1
            if self._left == 0 and self._before:
                self._then()
            result = verb(*arguments)
            if self._left == 0 and not self._before:
                self._then()
            return result

        return step


def interrupt(service: Service, verb: str, *, at: int, then: Step, before: bool = False) -> None:
    held = service.services
    stepped = Stepped(held.storage, verb, before=before, at=at, then=then)
    service.app.state.services = replace(held, storage=stepped)


@contextmanager
def two_apps(kit: Kit) -> Iterator[tuple[Service, Service, httpx.Client, httpx.Client]]:
    key = make_key(kit.sessions, "acme")
    with serve(kit.settings) as one, serve(kit.settings) as other:
        with one.client(key) as first, other.client(key) as second:
            yield one, other, first, second


def sweep(kit: Kit) -> None:
    """All that any number of sweeps, however late, would take now."""
    sweeper = Sweeper(kit.sessions, kit.storage, grace=0)
    sweeper.sweep()
    sweeper.sweep()


def content(client: httpx.Client, dataset: str) -> bytes:
    answer = client.get(f"/v1/files/{dataset}/content")
    assert answer.status_code == 200, answer.text
    return answer.content


def assert_whole(kit: Kit, client: httpx.Client) -> None:
    """Every dataset there is can be read, and nothing else is stored once it is swept."""
    ids = kit.read(lambda session: list(session.scalars(select(DatasetRow.id))))
    for dataset in ids:
        assert content(client, dataset)
    sweep(kit)
    for dataset in ids:
        assert content(client, dataset)
    stored = [*kit.storage.keys("packs"), *kit.storage.keys("manifests")]
    assert len({key for key in stored if key.startswith("packs/")}) >= len(ids)
    for dataset in ids:
        assert client.delete(f"{DATASETS}/{dataset}").status_code == 200
    assert [*kit.storage.keys("packs"), *kit.storage.keys("manifests")] == []
    assert kit.read(lambda session: session.query(HeldBlobRow).count()) == 0


@pytest.mark.parametrize("step", [(1, True), (1, False), (2, True), (2, False)])
def test_an_upload_survives_all_that_deletes_its_content(kit: Kit, step: tuple[int, bool]) -> None:
    with two_apps(kit) as (one, _, first, second):
        twin = made(second)["id"]

        def meanwhile() -> None:
            assert second.delete(f"{DATASETS}/{twin}").status_code == 200
            assert code(send(second, b"no archive"))[0] == 422
            again = made(second)["id"]
            sweep(kit)
            assert second.delete(f"{DATASETS}/{again}").status_code == 200
            sweep(kit)

        interrupt(one, "put", at=step[0], before=step[1], then=meanwhile)
        answer = send(first)
        assert answer.status_code == 201, answer.text
        assert content(first, answer.json()["id"])
        assert_whole(kit, second)


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("before", [True, False])
def test_a_deletion_under_way_takes_no_new_upload(kit: Kit, at: int, before: bool) -> None:
    with two_apps(kit) as (one, _, first, second):
        twin = made(first)["id"]
        interrupt(one, "delete", at=at, before=before, then=lambda: made(second))
        assert first.delete(f"{DATASETS}/{twin}").status_code == 200
        assert_whole(kit, second)


@pytest.mark.parametrize("before", [True, False])
def test_a_sweep_under_way_takes_no_new_upload(kit: Kit, before: bool) -> None:
    with two_apps(kit) as (_, _, first, _):
        for name in ("a", "b", "c"):
            put_file(kit, "packs/acme/" + name * 64, b"left behind")
        storage: Any = Stepped(kit.storage, "delete", before=before, at=1, then=lambda: made(first))
        sweeper = Sweeper(kit.sessions, storage, grace=0)
        assert sweeper.sweep() == 3
        assert_whole(kit, first)


class Patient(Sweeper):
    """Looks at the rows, and then has all the time in the world."""

    def __init__(self, kit: Kit, meanwhile: Step) -> None:
        super().__init__(kit.sessions, kit.storage, grace=0)
        self._meanwhile = meanwhile

    def _delete(self, key: str) -> bool:
        self._meanwhile()
        return super()._delete(key)


def test_a_sweep_looks_again_before_each_file_goes(kit: Kit) -> None:
    """What had neither hold nor row when it was looked for has a row by the time its turn comes."""
    with two_apps(kit) as (one, _, first, second):
        looked, committed, swept = (threading.Event() for _ in range(3))

        def meanwhile() -> None:
            looked.set()
            committed.wait(20)

        def run() -> None:
            Patient(kit, meanwhile).sweep()
            swept.set()

        def begin() -> None:
            threading.Thread(target=run).start()
            assert looked.wait(20)

        interrupt(one, "put", at=2, then=begin)
        dataset = made(first)["id"]
        committed.set()
        assert swept.wait(20)
        assert content(second, dataset)


@pytest.mark.parametrize("change", ["append", "relabel", "drop"])
def test_a_change_survives_a_failed_one_and_a_sweep(kit: Kit, change: str) -> None:
    with two_apps(kit) as (one, _, first, second):
        dataset = made(first)["id"]
        path = f"{DATASETS}/{dataset}/examples"
        example = first.get(path).json()["data"][0]["id"]

        def make(client: httpx.Client) -> httpx.Response:
            if change == "append":
                return send(client, zipped({"a/new.png": png(900)}), to=path)
            if change == "relabel":
                return client.patch(f"{path}/{example}", json={"label": "b"})
            return client.delete(f"{path}/{example}")

        def meanwhile() -> None:
            if change != "drop":
                assert make(second).is_success
            sweep(kit)

        interrupt(one, "put", at=1, then=meanwhile)
        answer = make(first)
        assert answer.is_success, answer.text
        assert answer.json()["version"] == (2 if change == "drop" else 3)
        assert_whole(kit, second)


def test_a_killed_upload_is_swept_once_its_hold_runs_out(kit: Kit) -> None:
    key = "packs/acme/" + "d" * 64
    kit.commit(lambda session: holds.take(session, [key]))
    sweep(kit)
    put_file(kit, key, b"stored, and then the process was killed")
    sweep(kit)
    assert list(kit.storage.keys("packs")) == [key]
    kit.commit(lambda session: session.execute(update(HeldBlobRow).values(until=0.0)))
    sweep(kit)
    assert list(kit.storage.keys("packs")) == []
    assert kit.read(lambda session: session.query(HeldBlobRow).count()) == 0


def test_an_upload_whose_hold_ran_out_is_refused_and_may_be_sent_again(kit: Kit) -> None:
    """A process that was frozen for an hour between put and commit must not commit a hole."""
    with two_apps(kit) as (one, _, first, second):

        def meanwhile() -> None:
            kit.commit(lambda session: session.execute(update(HeldBlobRow).values(until=0.0)))
            sweep(kit)

        interrupt(one, "put", at=2, then=meanwhile)
        answer = send(first)
        assert code(answer) == (503, "storage_unavailable")
        assert answer.headers["retry-after"]
        assert [*kit.storage.keys("packs"), *kit.storage.keys("manifests")] == []
        made(first)
        assert_whole(kit, second)


@contextmanager
def process(kit: Kit) -> Iterator[str]:
    """The app as a process of its own; its URL."""
    port = free_port()
    command = ["-m", "uvicorn", "app.main:app", "--port", str(port), "--no-access-log"]
    started = subprocess.Popen(
        [sys.executable, *command, "--log-level", "error"], env=environment(kit.settings), cwd=ROOT
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: httpx.get(url + "/readyz").status_code == 200, seconds=60)
        yield url
    finally:
        started.kill()
        started.wait()


def test_two_processes_that_upload_and_delete_equal_contents_lose_none(kit: Kit) -> None:
    headers = {"authorization": f"Bearer {make_key(kit.sessions, 'acme')}"}
    stop, faults = threading.Event(), []

    def caller(url: str, seed: int) -> None:
        chance, mine = random.Random(seed), []
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            for _ in range(ROUNDS):
                mine.append(made(client, small())["id"])
                if not content(client, mine[-1]):
                    faults.append(mine[-1])
                if chance.random() < 0.7:
                    gone = mine.pop(chance.randrange(len(mine)))
                    assert client.delete(f"{DATASETS}/{gone}").status_code == 200

    def guarded(url: str, seed: int) -> None:
        try:
            caller(url, seed)
        except BaseException as error:  # noqa: BLE001  # told by the test
            faults.append(repr(error))

    def sweeping() -> None:
        sweeper = Sweeper(kit.sessions, kit.storage, grace=0)
        while not stop.wait(0.02):
            sweeper.sweep()

    with process(kit) as one, process(kit) as other:
        threads = [
            threading.Thread(target=guarded, args=(url, seed))
            for seed, url in enumerate((one, other, one, other))
        ]
        keeper = threading.Thread(target=sweeping)
        for thread in (*threads, keeper):
            thread.start()
        for thread in threads:
            thread.join()
        stop.set()
        keeper.join()
        assert faults == []
        with httpx.Client(base_url=one, headers=headers, timeout=60) as client:
            assert_whole(kit, client)
