"""Promises 10 and 11: artifacts are whole or absent, and a full disk is an answer, not an end."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.counts import times
from tests.faults.effects import assert_once, assert_swept, assert_whole, models, ready_version
from tests.worker_kit import Kit, add_dataset, add_job, open_kit
from tests.workers import workers

pytestmark = pytest.mark.timeout(3600)


@pytest.mark.promise(10)
def test_kills_around_the_artifact_leave_only_whole_models(kit: Kit) -> None:
    """Promise 10: the kill falls between the first byte of the head and the last commit."""
    dice = random.Random(10)
    job_ids = []
    with workers(kit, 1) as (worker,):
        version = ready_version(kit)
        for _ in range(times(4, 200)):
            job_id = add_job(kit, version, hyperparameters={"views": ["squish"]})
            job_ids.append(job_id)
            kit.wait(lambda j=job_id: kit.job(j).status != "queued")
            time.sleep(dice.uniform(0, 0.06))
            worker.kill()
            assert_whole(kit, models(kit))
            worker.start()
        for job_id in job_ids:
            kit.wait_job(job_id)
    assert_once(kit, job_ids)
    assert_swept(kit)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB, where the test may make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
    if mount is None or os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
        pytest.skip("a file system of its own needs root (the test on a full disk is skipped)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.promise(11)
def test_a_full_disk_fails_the_job_and_nothing_else(small_disk: Path, tmp_path: Path) -> None:
    """Promise 11: storage is full, the database lies elsewhere or on the same disk."""
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    kit = open_kit(small_disk, database_url=url, lease_seconds=2.0, heartbeat_seconds=0.5)
    check_full_disk(kit, small_disk)


@pytest.mark.promise(11)
def test_a_full_disk_under_the_database_too(small_disk: Path) -> None:
    """The failure itself can only be written once there is space again."""
    kit = open_kit(small_disk, lease_seconds=2.0, heartbeat_seconds=0.5)
    check_full_disk(kit, small_disk)


def check_full_disk(kit: Kit, disk: Path) -> None:
    with workers(kit, 1):
        version = ready_version(kit)
        before = kit.wait_job(add_job(kit, version))
        assert before.status == "succeeded"
        job_id = add_job(kit, version, hyperparameters={"seconds": 1.0})
        kit.wait(lambda: kit.job(job_id).status == "running")
        fill(disk)
        time.sleep(2)
        (disk / "ballast").unlink()
        failed = kit.wait_job(job_id, 30)
        after = kit.wait_job(add_job(kit, version), 30)
        other = kit.wait_version(add_dataset(kit, [("a", "a", b"1"), ("b", "b", b"2")]).id)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error["code"] == "storage_full"
    assert after.status == "succeeded"
    assert other.status == "ready"
    assert_whole(kit, models(kit))
    assert sound(kit)
    kit.engine.dispose()


@pytest.mark.promise(11)
def test_a_full_disk_while_embedding_fails_the_waiting_job_by_its_name(
    small_disk: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    kit = open_kit(small_disk, database_url=url, lease_seconds=2.0, heartbeat_seconds=0.5)
    with workers(kit, 1):
        kit.wait_version(ready_version(kit).id)
        slow = [(f"c{i % 2}/{i}", f"c{i % 2}", f"slow {i}".encode()) for i in range(200)]
        version = add_dataset(kit, slow)
        waiting = add_job(kit, version)
        fill(small_disk)
        failed = kit.wait_job(waiting, 30)
        (small_disk / "ballast").unlink()
        assert kit.wait_version(add_dataset(kit, slow[:10]).id).status == "ready"
    assert failed.error is not None
    assert failed.error["code"] == "storage_full"
    kit.engine.dispose()


def fill(disk: Path) -> None:
    """Take every free byte."""
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        for size in (2**16, 512):
            try:
                while True:
                    ballast.write(b"\0" * size)
            except OSError:
                continue


def sound(kit: Kit) -> bool:
    with kit.engine.connect() as connection:
        return connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
