"""Promise 1: nothing accepted is lost, whoever deletes and sweeps at the same time.

Two apps on one database and one storage are stopped between each two of their steps, while the
other does everything that deletes; and two processes race.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from app.infra.orm import DatasetRow, HeldBlobRow
from app.infra.repositories import holds
from tests.api.uploading import DATASETS, code, made, send, small
from tests.archives import png, zipped
from tests.factories import make_key
from tests.faults.counts import times
from tests.faults.two_apps import Step, Stepped, interrupt, two_apps
from tests.servers import free_port, wait_for
from tests.worker_kit import Kit
from tests.worker_kit import put as put_file
from tests.workers import ROOT, environment
from worker.trainer.idle.sweeper import Sweeper

ROUNDS = times(10, 300)


def sweep(footing: Kit) -> None:
    """All that any number of sweeps, however late, would take now."""
    sweeper = Sweeper(footing.sessions, footing.storage, grace=0)
    sweeper.sweep()
    sweeper.sweep()


def content(client: httpx.Client, dataset: str) -> bytes:
    answer = client.get(f"/v1/files/{dataset}/content")
    assert answer.status_code == 200, answer.text
    return answer.content


def assert_whole(footing: Kit, client: httpx.Client) -> None:
    """Every dataset there is can be read, and nothing else is stored once it is swept."""
    ids = footing.read(lambda session: list(session.scalars(select(DatasetRow.id))))
    for dataset in ids:
        assert content(client, dataset)
    sweep(footing)
    for dataset in ids:
        assert content(client, dataset)
    stored = [*footing.storage.keys("packs"), *footing.storage.keys("manifests")]
    assert len({key for key in stored if key.startswith("packs/")}) >= len(ids)
    for dataset in ids:
        assert client.delete(f"{DATASETS}/{dataset}").status_code == 200
    assert [*footing.storage.keys("packs"), *footing.storage.keys("manifests")] == []
    assert footing.read(lambda session: session.query(HeldBlobRow).count()) == 0


@pytest.mark.parametrize("step", [(1, True), (1, False), (2, True), (2, False)])
@pytest.mark.promise(1)
def test_an_upload_survives_all_that_deletes_its_content(
    footing: Kit, step: tuple[int, bool]
) -> None:
    with two_apps(footing) as (one, _, first, second):
        twin = made(second)["id"]

        def meanwhile() -> None:
            assert second.delete(f"{DATASETS}/{twin}").status_code == 200
            assert code(send(second, b"no archive"))[0] == 422
            again = made(second)["id"]
            sweep(footing)
            assert second.delete(f"{DATASETS}/{again}").status_code == 200
            sweep(footing)

        interrupt(one, "put", at=step[0], before=step[1], then=meanwhile)
        answer = send(first)
        assert answer.status_code == 201, answer.text
        assert content(first, answer.json()["id"])
        assert_whole(footing, second)


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("before", [True, False])
def test_a_deletion_under_way_takes_no_new_upload(footing: Kit, at: int, before: bool) -> None:
    with two_apps(footing) as (one, _, first, second):
        twin = made(first)["id"]
        interrupt(one, "delete", at=at, before=before, then=lambda: made(second))
        assert first.delete(f"{DATASETS}/{twin}").status_code == 200
        assert_whole(footing, second)


@pytest.mark.parametrize("before", [True, False])
def test_a_sweep_under_way_takes_no_new_upload(footing: Kit, before: bool) -> None:
    with two_apps(footing) as (_, _, first, _):
        for name in ("a", "b", "c"):
            put_file(footing, "packs/acme/" + name * 64, b"left behind")
        storage: Any = Stepped(
            footing.storage, "delete", before=before, at=1, then=lambda: made(first)
        )
        sweeper = Sweeper(footing.sessions, storage, grace=0)
        assert sweeper.sweep() == 3
        assert_whole(footing, first)


class Patient(Sweeper):
    """Looks at the rows, and then has all the time in the world."""

    def __init__(self, footing: Kit, meanwhile: Step) -> None:
        super().__init__(footing.sessions, footing.storage, grace=0)
        self._meanwhile = meanwhile

    def _delete(self, key: str) -> bool:
        self._meanwhile()
        return super()._delete(key)


def test_a_sweep_looks_again_before_each_file_goes(footing: Kit) -> None:
    """What had neither hold nor row when it was looked for has a row by the time its turn comes."""
    with two_apps(footing) as (one, _, first, second):
        looked, committed, swept = (threading.Event() for _ in range(3))

        def meanwhile() -> None:
            looked.set()
            committed.wait(300)

        def run() -> None:
            Patient(footing, meanwhile).sweep()
            swept.set()

        def begin() -> None:
            threading.Thread(target=run).start()
            assert looked.wait(300)

        interrupt(one, "put", at=2, then=begin)
        dataset = made(first)["id"]
        committed.set()
        assert swept.wait(300)
        assert content(second, dataset)


@pytest.mark.parametrize("change", ["append", "relabel", "drop"])
def test_a_change_survives_a_failed_one_and_a_sweep(footing: Kit, change: str) -> None:
    with two_apps(footing) as (one, _, first, second):
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
            sweep(footing)

        interrupt(one, "put", at=1, then=meanwhile)
        answer = make(first)
        assert answer.is_success, answer.text
        assert answer.json()["version"] == (2 if change == "drop" else 3)
        assert_whole(footing, second)


def test_a_killed_upload_is_swept_once_its_hold_runs_out(footing: Kit) -> None:
    key = "packs/acme/" + "d" * 64
    footing.commit(lambda session: holds.take(session, [key]))
    sweep(footing)
    put_file(footing, key, b"stored, and then the process was killed")
    sweep(footing)
    assert list(footing.storage.keys("packs")) == [key]
    sweeper = Sweeper(footing.sessions, footing.storage)
    assert sweeper.end_holds() == 0
    footing.commit(lambda session: session.execute(update(HeldBlobRow).values(until=0.0)))
    assert sweeper.end_holds() == 1, "it does not wait for two sweeps an hour apart"
    assert list(footing.storage.keys("packs")) == []
    assert footing.read(lambda session: session.query(HeldBlobRow).count()) == 0


def test_an_upload_whose_hold_ran_out_is_refused_and_may_be_sent_again(footing: Kit) -> None:
    """A process that was frozen for an hour between put and commit must not commit a hole."""
    with two_apps(footing) as (one, _, first, second):

        def meanwhile() -> None:
            footing.commit(lambda session: session.execute(update(HeldBlobRow).values(until=0.0)))
            sweep(footing)

        interrupt(one, "put", at=2, then=meanwhile)
        answer = send(first)
        assert code(answer) == (503, "storage_unavailable")
        assert answer.headers["retry-after"]
        assert [*footing.storage.keys("packs"), *footing.storage.keys("manifests")] == []
        made(first)
        assert_whole(footing, second)


@contextmanager
def process(footing: Kit) -> Iterator[str]:
    """The app as a process of its own; its URL."""
    port = free_port()
    command = ["-m", "uvicorn", "app.main:app", "--port", str(port), "--no-access-log"]
    started = subprocess.Popen(
        [sys.executable, *command, "--log-level", "error"],
        env=environment(footing.settings),
        cwd=ROOT,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: httpx.get(url + "/readyz").status_code == 200, seconds=60)
        yield url
    finally:
        started.kill()
        started.wait()


@pytest.mark.promise(1)
def test_two_processes_that_upload_and_delete_equal_contents_lose_none(footing: Kit) -> None:
    headers = {"authorization": f"Bearer {make_key(footing.sessions, 'acme')}"}
    stop, faults = threading.Event(), []

    def caller(url: str, seed: int) -> None:
        chance, mine = random.Random(seed), []
        with httpx.Client(base_url=url, headers=headers, timeout=300) as client:
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
        sweeper = Sweeper(footing.sessions, footing.storage, grace=0)
        while not stop.wait(0.02):
            sweeper.sweep()

    with process(footing) as one, process(footing) as other:
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
        with httpx.Client(base_url=one, headers=headers, timeout=300) as client:
            assert_whole(footing, client)
