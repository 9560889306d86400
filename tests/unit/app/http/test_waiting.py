"""The poller: who waits is told, who does not wait costs nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request, Response
from sqlalchemy import Engine, text

from app.http import waiting as waiting_module
from app.http.waiting import MAX_SECONDS, Waiting, _wish
from app.infra.changes import JOB, Changes
from app.infra.database import Sessions, make_sessions, open_engine, transaction
from app.infra.orm import JobRow
from tests.factories import make_dataset, migrated


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{migrated(tmp_path)}")
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> Sessions:
    sessions = make_sessions(engine)
    with transaction(sessions) as session:
        version = make_dataset(session)
        session.add(
            JobRow(
                id="ftjob-1", organisation_id="default", status="queued", backbone="b",
                dataset_id=version.dataset_id, version_id=version.id, method="auto",
                hyperparameters={}, seed=0, created_at=0.0,
            )
        )  # fmt: skip
    return sessions


def become(sessions: Sessions, status: str) -> None:
    with transaction(sessions) as session:
        session.get_one(JobRow, "ftjob-1").status = status


def test_a_waiter_is_told_of_the_change_it_waits_for(engine: Engine, sessions: Sessions) -> None:
    async def scenario() -> None:
        waiting = Waiting(engine)
        done = asyncio.create_task(
            waiting.until(JOB, "ftjob-1", done=lambda status: status == "failed", seconds=10)
        )
        for status in ("running", "queued", "failed"):
            await asyncio.sleep(0.05)
            assert not done.done()
            await asyncio.to_thread(become, sessions, status)
        assert await done
        await waiting.close()

    asyncio.run(scenario())


def test_a_state_that_is_already_there_is_seen_at_once(engine: Engine, sessions: Sessions) -> None:
    async def scenario() -> None:
        waiting = Waiting(engine)
        came = asyncio.get_running_loop().time()
        assert await waiting.until(JOB, "ftjob-1", done=lambda s: s == "queued", seconds=10)
        assert await waiting.until(JOB, "nothing", done=lambda s: s is None, seconds=10)
        assert asyncio.get_running_loop().time() - came < 2
        await waiting.close()

    asyncio.run(scenario())


def test_time_runs_out(engine: Engine, sessions: Sessions) -> None:
    async def scenario() -> None:
        waiting = Waiting(engine)
        assert not await waiting.until(JOB, "ftjob-1", done=lambda s: s == "failed", seconds=0.1)
        await waiting.close()

    asyncio.run(scenario())


def test_nobody_waiting_means_nothing_polled(engine: Engine, sessions: Sessions) -> None:
    async def scenario() -> None:
        waiting = Waiting(engine)
        assert waiting._task is None
        await waiting.until(JOB, "ftjob-1", done=lambda status: True, seconds=1)
        assert waiting._task is not None
        await asyncio.wait_for(waiting._task, 1)
        assert not waiting._watches
        await waiting.until(JOB, "ftjob-1", done=lambda status: True, seconds=1)
        await waiting.close()

    asyncio.run(scenario())


def test_a_stop_lets_everybody_go(engine: Engine, sessions: Sessions) -> None:
    async def scenario() -> None:
        waiting = Waiting(engine)
        tasks = [
            asyncio.create_task(
                waiting.until(JOB, "ftjob-1", done=lambda status: False, seconds=60)
            )
            for _ in range(10)
        ]
        await asyncio.sleep(0.1)
        waiting.stop()
        assert await asyncio.wait_for(asyncio.gather(*tasks), 2) == [False] * 10
        await waiting.close()

    asyncio.run(scenario())


_SERVER = """
import asyncio, signal
from sqlalchemy import create_engine
from app.http.waiting import Waiting, let_go_on_signals

heard = []

async def scenario():
    waiting = Waiting(create_engine("sqlite://"))
    with let_go_on_signals(waiting):
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(0.05)
    assert waiting.stopping
    await waiting.close()

signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
asyncio.run(scenario())
assert heard == [signal.SIGTERM]
signal.raise_signal(signal.SIGTERM)
assert len(heard) == 2
"""


def test_sigterm_lets_everybody_go_and_reaches_the_server_too() -> None:
    # A process of its own: a signal that goes astray would end every other test here.
    done = subprocess.run([sys.executable, "-c", _SERVER], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_a_database_that_is_away_is_waited_for(
    engine: Engine, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.http.waiting._AWAY_SECONDS", 0.05)
    with transaction(sessions) as session:
        session.execute(text("ALTER TABLE jobs RENAME TO hidden"))

    async def scenario() -> None:
        waiting = Waiting(engine)
        done = asyncio.create_task(
            waiting.until(JOB, "ftjob-1", done=lambda status: status == "queued", seconds=10)
        )
        await asyncio.sleep(0.3)
        assert not done.done()
        with transaction(sessions) as session:
            session.execute(text("ALTER TABLE hidden RENAME TO jobs"))
        assert await done
        await waiting.close()

    asyncio.run(scenario())


def test_a_look_is_spared_where_nothing_was_committed(engine: Engine, sessions: Sessions) -> None:
    changes = Changes(engine)
    wanted = {JOB: ["ftjob-1"]}
    assert changes.look(wanted, fresh=True) == {(JOB, "ftjob-1"): "queued"}
    assert changes.look(wanted, fresh=False) is None
    become(sessions, "running")
    assert changes.look(wanted, fresh=False) == {(JOB, "ftjob-1"): "running"}
    assert changes.look(wanted, fresh=False) is None
    changes.close()


def test_a_look_that_fails_is_not_the_last(
    engine: Engine, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_module, "_AWAY_SECONDS", 0.0)
    look, failures = Changes.look, [RuntimeError("no connection"), MemoryError()]

    def fails(self: Changes, wanted: Any, *, fresh: bool) -> Any:
        if failures:
            raise failures.pop()
        return look(self, wanted, fresh=fresh)

    monkeypatch.setattr(Changes, "look", fails)

    async def scenario() -> None:
        waiting = Waiting(engine)
        assert await waiting.until(JOB, "ftjob-1", done=lambda s: s == "queued", seconds=10)
        await waiting.close()

    asyncio.run(scenario())
    assert not failures


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("wait=10", 10),
        ("WAIT = 10", 10),
        ('respond-async, wait="10"', 10),
        ("respond-async;wait=10", 10),
        ("wait=0", 0),
        ("wait=999999", MAX_SECONDS),
        ("wait=99999999999999", MAX_SECONDS),
        ("await=10", 0),
        ("wait=-1", 0),
        ("wait=x", 0),
    ],
)
def test_prefer_is_read_as_rfc_7240_says(prefer: str | None, seconds: float) -> None:
    request = Request({"type": "http", "headers": []})
    assert _wish(request, Response(), prefer).seconds == seconds
