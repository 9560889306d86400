"""Batches under fire: workers killed between and within chunks; nothing is lost or paid twice."""

from __future__ import annotations

import random
import time

import pytest

from app.infra.repositories import batches
from tests.batch_kit import contents, lines, over_members, row_of, trained, wait_batch, works_of
from tests.faults.counts import times
from tests.faults.effects import without_idle_work
from tests.worker_kit import Kit
from tests.workers import workers
from worker.trainer.idle.sweeper import Sweeper

pytestmark = pytest.mark.timeout(3600)


def part_keys(kit: Kit, batch_id: str) -> list[str]:
    return [part.key for part in kit.read(lambda session: batches.parts(session, batch_id))]


def assert_swept(kit: Kit, batch_id: str) -> None:
    """After a sweep the results have their files, and nothing else lies there."""
    sweeper = Sweeper(kit.sessions, kit.storage, grace=0)
    sweeper.sweep()
    sweeper.sweep()
    assert sorted(kit.storage.keys("batches")) == sorted(part_keys(kit, batch_id))


@pytest.mark.promise(2)
def test_a_batch_goes_on_where_its_worker_was_killed(kit: Kit) -> None:
    with workers(kit, 1) as (worker,):
        _, model = trained(kit, contents(6))
        without_idle_work(kit)
        batch_id = over_members(kit, model, contents(160, b"slow "), chunk=16)
        kit.wait(lambda: row_of(kit, batch_id).done >= 32)
        worker.kill()
        kept, keys = row_of(kit, batch_id).done, part_keys(kit, batch_id)
        assert 32 <= kept < 160
        worker.start()
        found = wait_batch(kit, batch_id)
    assert found.status == "succeeded"
    assert (found.done, found.failed, found.passes) == (160, 0, 160)
    assert set(keys) <= set(part_keys(kit, batch_id))
    assert [one["index"] for one in lines(kit, batch_id)] == list(range(160))
    assert sum(work.losses for work in works_of(kit, batch_id)) <= 1
    assert_swept(kit, batch_id)


@pytest.mark.promise(2)
def test_a_batch_survives_killings_at_random(kit: Kit) -> None:
    dice = random.Random(5)
    total = times(1600, 16000)
    with workers(kit, 4) as group:
        _, model = trained(kit, contents(6))
        without_idle_work(kit)
        batch_id = over_members(kit, model, contents(total, b"slow "), chunk=32)
        deadline = time.monotonic() + times(240, 1800)
        while row_of(kit, batch_id).status not in ("succeeded", "failed"):
            assert time.monotonic() < deadline
            time.sleep(dice.uniform(1.0, 3.0))
            victim = dice.choice(group)
            victim.kill()
            victim.start()
    found = row_of(kit, batch_id)
    assert found.status == "succeeded", found.error
    assert (found.done, found.failed, found.passes) == (total, 0, total)
    assert [one["index"] for one in lines(kit, batch_id)] == list(range(total))
    assert_swept(kit, batch_id)
