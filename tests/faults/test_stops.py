"""Promises 7 and 8: a drain finishes or gives back, a cancel stops; nothing is half done."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from app.core.errors import HeadstartError
from app.core.job_state import TERMINAL
from app.infra.orm import JobRow
from app.infra.repositories import jobs
from tests.faults.counts import times
from tests.faults.effects import (
    assert_once,
    assert_swept,
    models,
    ready_version,
    said,
    tiny,
    work_of,
)
from tests.worker_kit import Kit, add_dataset, add_job
from tests.workers import workers

pytestmark = pytest.mark.timeout(3600)


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    every = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]
    return [child for child in every if parent_of(child) == pid]


def parent_of(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def cancel(kit: Kit, job_id: str) -> str:
    """The status that the cancel left, or the code of its refusal."""
    try:
        return kit.commit(lambda session: jobs.cancel_job(session, job_id)).status
    except HeadstartError as error:
        return error.code


def running(kit: Kit, job_id: str) -> JobRow:
    kit.wait(lambda: kit.job(job_id).status == "running")
    return kit.job(job_id)


@pytest.mark.promise(7)
def test_what_fits_the_grace_finishes(kit: Kit) -> None:
    with workers(kit, 1, drain_seconds=20) as (worker,):
        version = ready_version(kit)
        job_id = add_job(kit, version, hyperparameters={"seconds": 1.5})
        behind = add_job(kit, version)
        running(kit, job_id)
        assert worker.terminate() == 0
    assert kit.job(job_id).status == "succeeded"
    assert kit.job(behind).status == "queued"


@pytest.mark.promise(7)
def test_what_does_not_fit_goes_back_uncharged(kit: Kit) -> None:
    with workers(kit, 1, drain_seconds=0.5) as (worker,):
        version = ready_version(kit)
        job_id = add_job(kit, version, hyperparameters={"seconds": 60})
        running(kit, job_id)
        asked = time.monotonic()
        assert worker.terminate() == 0
        assert time.monotonic() - asked < 10
    row = work_of(kit, job_id)
    assert kit.job(job_id).status == "queued"
    assert (row.state, row.errors, row.crashes, row.losses) == ("queued", 0, 0, 0)


@pytest.mark.promise(7)
def test_a_chunk_that_is_drained_keeps_what_it_has_embedded(kit: Kit) -> None:
    slow = [(f"c{i % 2}/{i}", f"c{i % 2}", f"slow {i}".encode()) for i in range(1500)]
    with workers(kit, 1) as (worker,):
        version = add_dataset(kit, slow)
        job_id = add_job(kit, version)
        kit.wait(lambda: (kit.job(job_id).progress or {}).get("done", 0) > 0)
        assert worker.terminate() == 0
        assert kit.version(version.id).status == "processing"
        worker.start()
        job = kit.wait_job(job_id)
    assert job.status == "succeeded"
    assert job.progress is not None
    assert job.progress["embedding"] == {"new": 1500, "cached": 0}
    assert len(list(kit.storage.keys("embeddings"))) >= 2


@pytest.mark.promise(8)
def test_a_queued_job_that_is_cancelled_never_runs(kit: Kit) -> None:
    with workers(kit, 1):
        version = ready_version(kit)
        first = add_job(kit, version, hyperparameters={"seconds": 0.5})
        second = add_job(kit, version)
        kit.commit(lambda session: jobs.cancel_job(session, second))
        kit.wait_job(first)
        kit.wait_job(add_job(kit, version))
    assert kit.job(second).status == "cancelled"
    assert said(kit, "Job started")[second] == 0
    assert work_of(kit, second).state == "cancelled"


@pytest.mark.promise(8)
def test_a_running_job_that_is_cancelled_stops_within_two_seconds(kit: Kit) -> None:
    with workers(kit, 1) as (worker,):
        version = ready_version(kit)
        job_id = add_job(kit, version, hyperparameters={"seconds": 60})
        running(kit, job_id)
        kit.wait(lambda: children_of(worker.process.pid))
        busy = children_of(worker.process.pid)
        kit.commit(lambda session: jobs.cancel_job(session, job_id))
        assert kit.job(job_id).status == "cancelled"
        kit.wait(lambda: not set(busy) & set(children_of(worker.process.pid)), 2)
        assert kit.wait_job(add_job(kit, version)).status == "succeeded"


@pytest.mark.promise(8)
def test_a_cancel_and_a_finish_have_one_outcome(kit: Kit) -> None:
    """Promise 8: wherever the cancel falls, there is one end, and no model after a cancel."""
    dice = random.Random(8)
    ended: list[str] = []
    with workers(kit, 1):
        version = ready_version(kit)
        for _ in range(times(20, 500)):
            job_id = add_job(kit, version, hyperparameters={"seconds": 0.05})
            time.sleep(dice.uniform(0, 0.15))
            assert cancel(kit, job_id) in ("cancelled", "invalid_transition")
            kit.wait(lambda j=job_id: kit.job(j).status in TERMINAL)
            ended.append(job_id)
        kit.wait_job(add_job(kit, version))
    status = {job_id: kit.job(job_id).status for job_id in ended}
    assert set(status.values()) <= {"succeeded", "cancelled"}
    cancelled = {job_id for job_id, value in status.items() if value == "cancelled"}
    assert not cancelled & {str(model.job_id) for model in models(kit)}
    assert not cancelled & set(said(kit, "Job succeeded"))
    assert_once(kit, [str(model.job_id) for model in models(kit)])
    assert_swept(kit)


@pytest.mark.promise(7)
def test_a_signal_to_the_whole_group_drains_too(kit: Kit) -> None:
    """Ctrl-C and some service managers signal every process: the child must leave it to us."""
    with workers(kit, 1) as (worker,):
        version = add_dataset(kit, tiny())
        kit.wait_version(version.id)
        job_id = add_job(kit, version, hyperparameters={"seconds": 1.0})
        running(kit, job_id)
        worker.signal(signal.SIGINT)
        assert worker.process.wait(300) == 0
    assert kit.job(job_id).status == "succeeded"
