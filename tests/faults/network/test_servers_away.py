"""Promises 1, 12 and 13 behind a proxy: Postgres, Redis and S3 refuse, cut, stall and trickle.

While a server is away every answer is a success that holds or a 503 with a Retry-After, in bounded
time; afterwards all goes on by itself.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.uploading import DATASETS, small
from tests.factories import make_dataset, make_key
from tests.faults.app_process import AppProcess, app_process
from tests.faults.conftest import BRISK
from tests.faults.counts import times
from tests.faults.effects import assert_once, ready_version
from tests.faults.network.proxy import FAULTS, Mode, Proxy, between
from tests.s3 import s3_server
from tests.servers import postgres_database, running_redis, wait_for
from tests.worker_kit import Kit, add_job, open_kit
from tests.workers import workers
from worker.trainer.idle.sweeper import Sweeper

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]
JOBS = "/v1/fine_tuning/jobs"
SECONDS = times(1, 15)
CALLERS = 6
LONGEST = 75.0
"""Seconds after which a client would have given up: no answer may take so long."""
Record = Callable[[str, object], None]


@dataclass
class Heard:
    """What callers were answered during a fault."""

    answers: list[tuple[int, float, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def statuses(self) -> dict[int, int]:
        return dict(Counter(status for status, _, _ in self.answers))

    def slowest(self) -> float:
        return max(seconds for _, seconds, _ in self.answers)

    def median(self) -> float:
        return statistics.median(seconds for _, seconds, _ in self.answers)

    def p99(self) -> float:
        ordered = sorted(seconds for _, seconds, _ in self.answers)
        return ordered[int(0.99 * (len(ordered) - 1))]

    def ids(self) -> list[str]:
        return [body["id"] for status, _, body in self.answers if status in (201, 202)]


def calls(app: AppProcess, key: str, call: Callable[[httpx.Client], httpx.Response]) -> Heard:
    """Several callers that ask once at least, and again and again for SECONDS."""
    heard, until = Heard(), time.monotonic() + SECONDS

    def one() -> None:
        with app.client(key, timeout=LONGEST) as client:
            while True:
                began = time.monotonic()
                try:
                    answer = call(client)
                except httpx.HTTPError as error:
                    heard.faults.append(repr(error))
                    return
                took = time.monotonic() - began
                heard.answers.append((answer.status_code, took, answer.json()))
                if answer.status_code == 503 and "retry-after" not in answer.headers:
                    heard.faults.append("no Retry-After")
                if time.monotonic() >= until:
                    return

    threads = [threading.Thread(target=one) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return heard


def submit(dataset: str) -> Callable[[httpx.Client], httpx.Response]:
    body = {"model": "efficientnet_lite0", "training_file": dataset}
    return lambda client: client.post(JOBS, json=body)


def upload(client: httpx.Client) -> httpx.Response:
    return client.post(DATASETS, files={"file": ("set.zip", small())})


@contextmanager
def alive(app: AppProcess) -> Iterator[list[float]]:
    """How long /livez takes meanwhile, asked all the time."""
    took: list[float] = []
    stop = threading.Event()

    def ask() -> None:
        with app.client(None) as client:
            while not stop.wait(0.05):
                began = time.monotonic()
                assert client.get("/livez").status_code == 200
                took.append(time.monotonic() - began)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join()
    assert took


@pytest.fixture
def database(postgres: str) -> Iterator[tuple[Proxy, str, str]]:
    """A proxy, the database's URL through it, and the straight one."""
    with postgres_database(postgres) as url, between(url) as (proxy, through):
        yield proxy, through, url


@pytest.mark.promise(12)
def test_an_app_whose_postgres_is_away_says_so(
    database: tuple[Proxy, str, str], tmp_path: Path, record_property: Record
) -> None:
    proxy, through, url = database
    kit = open_kit(tmp_path, database_url=url)
    key = make_key(kit.sessions)
    dataset = kit.commit(lambda session: make_dataset(session).dataset_id)
    made: list[str] = []
    with app_process(kit.settings.model_copy(update={"database_url": through})) as app:
        for fault in FAULTS:
            proxy.set(fault)
            with alive(app) as beats:
                heard = calls(app, key, submit(dataset))
            proxy.set("pass")
            back = recovers(app, key, submit(dataset))
            record_property(f"postgres_{fault}", told(heard, back, beats))
            assert heard.faults == [], fault
            assert set(heard.statuses()) <= {202, 503}, fault
            made += heard.ids()
        with app.client(key) as client:
            for job in made:
                assert client.get(f"{JOBS}/{job}").status_code == 200
    kit.engine.dispose()


def told(heard: Heard, back: float, beats: list[float]) -> dict[str, Any]:
    return {
        "answers": heard.statuses(),
        "slowest_seconds": round(heard.slowest(), 2),
        "back_after_seconds": round(back, 2),
        "livez_slowest_seconds": round(max(beats), 3),
    }


def recovers(app: AppProcess, key: str, call: Callable[[httpx.Client], httpx.Response]) -> float:
    """Seconds until a call succeeds again; at most 60."""
    began = time.monotonic()
    with app.client(key, timeout=LONGEST) as client:
        wait_for(lambda: call(client).status_code in (201, 202), seconds=60)
    return time.monotonic() - began


@pytest.mark.promise(12)
def test_a_trainer_whose_postgres_is_away_goes_on_afterwards(
    database: tuple[Proxy, str, str], tmp_path: Path, record_property: Record
) -> None:
    proxy, through, url = database
    kit = open_kit(tmp_path, database_url=url, **BRISK)
    theirs = Kit(
        kit.settings.model_copy(update={"database_url": through}),
        kit.engine, kit.sessions, kit.storage,
    )  # fmt: skip
    job_ids = []
    with workers(theirs, 2) as group:
        version = ready_version(kit)
        for fault in FAULTS:
            wish = {"seconds": 0.7, "steps": 3}
            job_ids += [add_job(kit, version, hyperparameters=wish) for _ in range(3)]
            time.sleep(1)
            proxy.set(fault)
            time.sleep(SECONDS)
            proxy.set("pass")
        for job_id in job_ids:
            kit.wait_job(job_id, 120)
        assert all(worker.process.poll() is None for worker in group)
    assert_once(kit, job_ids)
    record_property("trainer_jobs_through_postgres_faults", len(job_ids))
    kit.engine.dispose()


@pytest.mark.promise(13)
def test_submits_do_not_feel_that_redis_is_away(
    postgres: str, tmp_path: Path, record_property: Record
) -> None:
    with (
        postgres_database(postgres) as url,
        running_redis() as redis,
        between(redis.url) as (proxy, through),
    ):
        kit = open_kit(tmp_path, database_url=url, broker_url=through, quota_jobs=0)
        key = make_key(kit.sessions)
        dataset = kit.commit(lambda session: make_dataset(session).dataset_id)
        with app_process(kit.settings) as app:
            usual = calls(app, key, submit(dataset))
            for fault in FAULTS:
                proxy.set(fault)
                heard = calls(app, key, submit(dataset))
                proxy.set("pass")
                seconds = {"submits": len(heard.answers), "p99_seconds": round(heard.p99(), 3)}
                record_property(f"redis_{fault}", seconds)
                assert heard.faults == []
                assert set(heard.statuses()) == {202}
                assert heard.median() < max(0.5, 3 * usual.median()), fault
        record_property("redis_there", {"p99_seconds": round(usual.p99(), 3)})
        kit.engine.dispose()


@pytest.mark.promise(1)
def test_uploads_to_an_s3_that_is_away_are_refused_or_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    for name, value in {"ACCESS_KEY_ID": "t", "SECRET_ACCESS_KEY": "t", "REGION": "x"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    modes: tuple[Mode, ...] = FAULTS
    with s3_server("bucket") as endpoint, between(endpoint) as (proxy, through):
        kit = open_kit(tmp_path, storage_url="s3://bucket", storage_endpoint=endpoint)
        key = make_key(kit.sessions)
        made: list[str] = []
        settings = kit.settings.model_copy(update={"storage_endpoint": through})
        with app_process(settings) as app:
            for fault in modes:
                proxy.set(fault)
                with alive(app) as beats:
                    heard = calls(app, key, upload)
                proxy.set("pass")
                back = recovers(app, key, upload)
                record_property(f"s3_{fault}", told(heard, back, beats))
                assert heard.faults == [], fault
                assert set(heard.statuses()) <= {201, 503}, fault
                made += heard.ids()
            with app.client(key) as client:
                for dataset in made:
                    assert client.get(f"/v1/files/{dataset}/content").status_code == 200
                for dataset in ids_of(client):
                    assert client.delete(f"{DATASETS}/{dataset}").status_code == 200
        sweeper = Sweeper(kit.sessions, kit.storage, grace=0)
        sweeper.sweep()
        sweeper.sweep()
        left = [*kit.storage.keys("packs"), *kit.storage.keys("manifests")]
        assert left == [] or held(kit) > 0
        kit.engine.dispose()


def ids_of(client: httpx.Client) -> list[str]:
    found: list[str] = []
    while True:
        after = {"after": found[-1]} if found else {}
        page = client.get(DATASETS, params={"limit": 100, **after}).json()
        found += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            return found


def held(kit: Kit) -> int:
    """Blobs of killed or refused uploads, which are held for a while yet."""
    from app.infra.orm import HeldBlobRow

    return kit.read(lambda session: session.query(HeldBlobRow).count())
