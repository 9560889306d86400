"""Schedulers that are killed, and two at once: each trigger ends as a row, no run runs twice."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text
from standardwebhooks.webhooks import Webhook

from app.core.errors import HeadstartError
from app.infra.orm import HookRunRow, JobRow
from app.infra.repositories import jobs
from tests.factories import make_dataset, make_key
from tests.faults.app_process import AppProcess
from tests.faults.conftest import BRISK
from tests.faults.counts import times
from tests.servers import again_and_again, free_port, postgres_database, redis_server, wait_for
from tests.worker_kit import Kit, open_kit

DEBOUNCE = 1.0
PER_SECOND = 100
Told = dict[str, Any]


@pytest.fixture(params=["embedded", pytest.param("production", marks=pytest.mark.servers)])
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kit]:
    """Short leases; SQLite, and Postgres with doorbells that go through a redis-server."""
    with ExitStack() as opened:
        settings: dict[str, Any] = dict(BRISK)
        if request.param == "production":
            server = request.getfixturevalue("postgres")
            settings["database_url"] = opened.enter_context(postgres_database(server))
            settings["broker_url"] = opened.enter_context(redis_server())
        made = open_kit(tmp_path, **settings)
        opened.callback(made.engine.dispose)
        yield made


@dataclass
class Apps:
    """Processes of the app on one kit, each with a scheduler; what is asked goes to any of them."""

    kit: Kit
    key: str
    running: list[AppProcess] = field(default_factory=list)

    def start(self) -> None:
        app = AppProcess(self.kit.settings, free_port())
        app.start()
        self.running = [*self.running, app]

    def kill(self) -> None:
        """The first one, without a word; whoever asked it gets no answer."""
        first, *self.running = self.running
        first.kill()

    def ask(self, turn: int, send: Callable[[httpx.Client], httpx.Response]) -> httpx.Response:
        """As a careful caller does: again where nobody answers, or a busy database was not reached
        in time.
        """
        for attempt in range(60):
            app = self.running[(turn + attempt) % len(self.running)]
            with suppress(httpx.TransportError), app.client(self.key, timeout=300) as client:
                answer = send(client)
                if answer.status_code != 503:
                    return answer
            time.sleep(0.25)
        raise AssertionError("nobody answers")


@contextmanager
def apps(kit: Kit, number: int) -> Iterator[Apps]:
    made = Apps(kit, make_key(kit.sessions))
    try:
        for _ in range(number):
            made.start()
        yield made
    finally:
        for app in made.running:
            app.kill()


def made_hook(client: httpx.Client, dataset: str, debounce_seconds: float) -> httpx.Response:
    new = {
        "name": "often",
        "dataset": dataset,
        "alias": "cells@production",
        "job": {"model": "efficientnet_lite0"},
        "triggers": [{"type": "inbound"}],
        "max_runs_per_day": 1440,
        "debounce_seconds": debounce_seconds,
    }
    made = client.post("/v1/hooks", json=new)
    assert made.status_code in (201, 503), made.text
    return made


def end_jobs(kit: Kit) -> None:
    """Cancel what no trainer here would do, so that the next run may begin.

    Two may do so at once: a test that waits, and what ends jobs beside it.
    """
    waiting = select(JobRow.id).where(JobRow.status.in_(["validating_files", "queued"]))
    for job_id in kit.read(lambda session: list(session.scalars(waiting))):
        try:
            kit.commit(lambda session, one=job_id: jobs.cancel_job(session, one))  # type: ignore[misc]
        except HeadstartError as error:
            if error.code != "invalid_transition":
                raise


def rows(kit: Kit, hook: Told) -> list[HookRunRow]:
    statement = select(HookRunRow).where(HookRunRow.hook_id == hook["id"])
    return kit.read(lambda session: list(session.scalars(statement)))


def settled(kit: Kit, hook: Told) -> bool:
    end_jobs(kit)
    return all(row.status not in ("waiting", "running") for row in rows(kit, hook))


def jobs_that_end(kit: Kit) -> AbstractContextManager[None]:
    """Meanwhile every job ends soon after it was made, so that the next run may begin."""

    return again_and_again(lambda: end_jobs(kit), seconds=0.1)


def call(apps: Apps, hook: Told, turn: int) -> None:
    """A call that is signed: one that nobody answered is sent again, and taken once."""
    message, body = f"msg_{turn}", '{"force": true}'

    def send(client: httpx.Client) -> httpx.Response:
        at = datetime.now(UTC)
        headers = {
            "webhook-id": message,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(hook["secret"]).sign(message, at, body),
        }
        del client.headers["authorization"]
        return client.post(f"/v1/hooks/{hook['id']}/trigger", content=body, headers=headers)

    answer = apps.ask(turn, send)
    taken = answer.status_code == 202 or answer.json()["code"] == "replayed"
    assert taken, answer.text


def test_a_thousand_triggers_are_the_runs_that_debounce_allows(kit: Kit) -> None:
    """A hundred a second, while one of two schedulers is killed and a third one started: of each
    trigger one row, of each run one job.
    """
    number = times(300, 1000)
    dataset = kit.commit(make_dataset).dataset_id
    with apps(kit, 2) as running, jobs_that_end(kit):
        hook = running.ask(0, lambda client: made_hook(client, dataset, DEBOUNCE)).json()
        began = time.monotonic()

        def trigger(turn: int) -> None:
            time.sleep(max(0.0, began + turn / PER_SECOND - time.monotonic()))
            call(running, hook, turn)

        with ThreadPoolExecutor(16) as pool:
            asked = [pool.submit(trigger, turn) for turn in range(number)]
            wait_for(lambda: sum(one.done() for one in asked) > number // 3, seconds=120)
            running.kill()
            running.start()
            for one in asked:
                one.result()
        wait_for(lambda: settled(kit, hook), seconds=120)
    told = rows(kit, hook)
    assert Counter(row.cause["message"] for row in told) == {f"msg_{n}": 1 for n in range(number)}
    assert_debounced(told)
    assert deadlocks(kit) == 0
    made = kit.read(lambda session: session.scalars(select(func.count(JobRow.id))).one())
    assert made == len({row.job_id for row in told} - {None}) == len(leading(told))


def deadlocks(kit: Kit) -> int:
    """How often two have waited for each other, as Postgres counts it; SQLite's writers queue."""
    if kit.engine.dialect.name == "sqlite":
        return 0
    counted = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return int(kit.read(lambda session: session.execute(counted).scalar_one()))


def leading(told: list[HookRunRow]) -> list[HookRunRow]:
    """The runs that joined no other, in the order in which they were asked for."""
    return sorted((row for row in told if row.joined is None), key=lambda row: row.created_at)


def assert_debounced(told: list[HookRunRow]) -> None:
    """Whatever comes before a run has begun has joined it, and nothing else has: neither a run
    more nor one less than debounce allows. By the database's clock.
    """
    lead = leading(told)
    begun = {row.id: (row.created_at, row.started_at or 0.0) for row in lead}
    for row in told:
        if row.joined is not None:
            asked, started = begun[row.joined]
            assert asked <= row.created_at <= started
    for former, later in itertools.pairwise(lead):
        assert begun[former.id][1] >= former.created_at + DEBOUNCE
        assert later.created_at >= begun[former.id][1]
    joined = Counter(row.joined for row in told if row.joined is not None)
    assert {row.id: row.triggers for row in lead} == {row.id: 1 + joined[row.id] for row in lead}
    assert len(lead) > 1


@pytest.mark.promise(2)
def test_a_killed_scheduler_s_runs_are_run_once_by_others(kit: Kit) -> None:
    number = times(3, 20)
    dataset = kit.commit(make_dataset).dataset_id
    hooks: list[Told] = []
    with apps(kit, 1) as running:
        for place in range(number):
            answer = running.ask(
                0,
                lambda client, at=place: made_hook(client, dataset, 0.05 * at),  # type: ignore[misc]
            )
            hooks.append(answer.json())
            call(running, hooks[-1], place)
        running.kill()
        running.start()
        running.start()
        wait_for(lambda: all(settled(kit, hook) for hook in hooks), seconds=120)
    told = [row for hook in hooks for row in rows(kit, hook)]
    assert Counter(row.status for row in told) == {"failed": number}
    assert all("the job cancelled" in str(row.reason) for row in told)
    made = kit.read(lambda session: session.scalars(select(func.count(JobRow.id))).one())
    assert made == number == len({row.job_id for row in told})
