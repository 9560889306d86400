"""A tuning that is killed again and again ends in the model of one that is not.

The trainer and its tensor process are the real ones; the network is small, and the whole group is
killed by turns as soon as one more state is kept, and at a moment soon after the next claim, when
nothing is loaded or everything about to be.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from app.infra import storage_keys
from app.infra.orm import EventRow, ModelRow
from app.infra.repositories import jobs, versions
from tests.faults.counts import FULL, times
from tests.faults.effects import models, without_idle_work, work_of
from tests.unit.worker.ml import tiny_encoder
from tests.worker_kit import Kit, Labelled, add_dataset, add_job, open_kit, picture
from tests.workers import REAL, Worker, workers
from worker.formats.models import load

pytestmark = pytest.mark.timeout(7200)

NETWORK = """
import torch
from torch import nn

def _part(a, b):
    conv = nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(b), nn.ReLU())

def small():
    torch.manual_seed(0)
    trunk = nn.Sequential(_part(3, 8), _part(8, 16), _part(16, 24), _part(24, 32))
    return nn.Sequential(trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 5))
"""
TUNED = {"epochs": 20, "learning_rate": 1e-4, "share": 0.5}
JOBS: dict[str, tuple[str, dict[str, Any]]] = {
    "full": ("full", TUNED),
    "lora": ("lora", TUNED),
    "setfit": ("setfit", TUNED),
    "depth auto": ("auto", {"depth": "auto", "max_seconds": 3600.0, "views": ["squish", "mirror"]}),
}
OF_TEXTS = ("setfit",)
READS_TEXTS = "tiny-MiniLM"
PER_CLASS = 24
LATEST = 2.0
"""Seconds behind a claim within which a kill falls."""
PATIENCE = 900.0
"""Seconds that anything may take where every core is busy."""


@pytest.fixture(scope="module")
def tuning_kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    """States are kept as often as there are any; the network lies in the weights folder."""
    folder = tmp_path_factory.mktemp("tunings")
    (folder / "weights" / "small").mkdir(parents=True)
    (folder / "weights" / "small" / "hubconf.py").write_text(NETWORK)
    (folder / "weights" / "small.json").write_text('{"input_size": 64}')
    tiny_encoder.saved("bert", folder / "weights")
    (folder / "weights" / "bert").rename(folder / "weights" / READS_TEXTS)
    made = open_kit(
        folder / "data",
        weights_dir=folder / "weights",
        allow_hub_code=True,
        tuning_keep_seconds=0.0,
        fit_seconds=7200.0,
        lease_seconds=10.0,
        heartbeat_seconds=1.0,
        poll_seconds=0.5,
    )
    yield made
    made.engine.dispose()


def mixed_up() -> list[Labelled]:
    """Pictures of four kinds whose labels nothing tells, so that no training soon ends."""
    return [
        (f"{number}.png", "ab"[number % 2], picture(number, number // 2))
        for number in range(2 * PER_CLASS)
    ]


def told_apart_by_nothing() -> list[Labelled]:
    """Likewise texts."""
    return [
        (f"{n}.txt", "ab"[n % 2], f"the {('red', 'blue')[n // 2 % 2]} house {n}".encode())
        for n in range(2 * PER_CLASS)
    ]


@contextmanager
def _tuning(kit: Kit, name: str) -> Iterator[tuple[Worker, Callable[[], str]]]:
    """A worker, and what submits the job, always the same."""
    method, given = JOBS[name]
    with workers(kit, 1, command=REAL) as (worker,):
        if name in OF_TEXTS:
            texts = told_apart_by_nothing()
            version = add_dataset(kit, texts, backbone=READS_TEXTS, modality="text")
        else:
            version = add_dataset(kit, mixed_up(), backbone="small")
        assert kit.wait_version(version.id, PATIENCE).status == "ready"
        without_idle_work(kit)
        asked = {"method": method, "hyperparameters": given, "seed": 1}
        yield worker, lambda: add_job(kit, version, **asked)


@pytest.mark.promise(2)
@pytest.mark.parametrize("name", JOBS if FULL else ["lora"])
def test_a_tuning_that_is_killed_ends_in_the_same_model(tuning_kit: Kit, name: str) -> None:
    kit, dice = tuning_kit, random.Random(name)
    with _tuning(kit, name) as (worker, job):
        unbroken = _model(kit, job())
        broken = job()
        for number in range(times(2, 20)):
            _kill(kit, worker, broken, dice if number % 2 else None)
        last = _model(kit, broken)
        assert _said(kit, broken, "Tuning goes on where a former try got to"), "a state was used"
        assert not list(kit.storage.keys(storage_keys.TUNINGS)), "states go with the job"
        _assert_same(kit, unbroken, last)


@pytest.mark.promise(2)
def test_a_paused_try_goes_on_and_a_cancelled_one_is_no_model(tuning_kit: Kit) -> None:
    kit = tuning_kit
    with _tuning(kit, "depth auto") as (_, job):
        unbroken, paused = _model(kit, job()), job()
        _wait_for_state(kit, paused, set())
        kit.commit(lambda session: jobs.pause_job(session, paused))
        kit.wait(lambda: work_of(kit, paused).state == "held", PATIENCE)
        assert kit.job(paused).status == "paused"
        kit.commit(lambda s: versions.settle_job(s, jobs.resume_job(s, paused)))
        _assert_same(kit, unbroken, _model(kit, paused))
        cancelled = job()
        _wait_for_state(kit, cancelled, set())
        kit.commit(lambda session: jobs.cancel_job(session, cancelled))
        kit.wait(lambda: work_of(kit, cancelled).finished_at is not None, PATIENCE)
        assert kit.job(cancelled).status == "cancelled"
        assert cancelled not in {model.job_id for model in models(kit)}


def _wait_for_state(kit: Kit, job: str, seen: set[str]) -> None:
    """Until one more has been kept."""
    folder = storage_keys.tunings("acme", job)
    kit.wait(lambda: set(kit.storage.keys(folder)) - seen, PATIENCE)


def _kill(kit: Kit, worker: Worker, job: str, dice: random.Random | None) -> None:
    """Behind a further state, or some time after a claim; then a new worker begins."""
    if dice is None:
        _wait_for_state(kit, job, set(kit.storage.keys(storage_keys.tunings("acme", job))))
    else:
        fence = work_of(kit, job).fence
        kit.wait(lambda: work_of(kit, job).fence > fence, PATIENCE)
        time.sleep(dice.uniform(0, LATEST))
    assert kit.job(job).status in ("queued", "running"), "killed while there is something to do"
    worker.kill()
    worker.start()


def _model(kit: Kit, job_id: str) -> ModelRow:
    job = kit.wait_job(job_id, PATIENCE)
    assert job.status == "succeeded", job.error
    return kit.read(lambda session: session.get_one(ModelRow, job.model_id))


def _said(kit: Kit, job: str, message: str) -> bool:
    statement = select(EventRow.id).where(EventRow.job_id == job, EventRow.message == message)
    return kit.read(lambda session: session.scalars(statement).first()) is not None


def _assert_same(kit: Kit, one: ModelRow, other: ModelRow) -> None:
    """The same numbers, served and told, to 1e-3."""
    stored = [load(kit.storage, model.artifact, model.sha256).tensors for model in (one, other)]
    assert stored[0].keys() == stored[1].keys()
    for name, value in stored[0].items():
        np.testing.assert_allclose(stored[1][name], value, rtol=1e-3, atol=1e-3, err_msg=name)
    told = [model.evaluation for model in (one, other)]
    for name in ("accuracy", "log_loss", "calibration_error"):
        assert told[1][name]["value"] == pytest.approx(told[0][name]["value"], abs=1e-3), name
    tried = [{**each.get("deeper", {}), "seconds": 0} for each in told]
    assert tried[0].get("taken") == tried[1].get("taken")
    assert not any(each.get("cut_short") for each in tried), "with time enough none ends early"
