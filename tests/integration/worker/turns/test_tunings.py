"""A network's training is passed by others' work at an epoch's end, and becomes the same model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from app.infra.orm import DatasetVersionRow, EventRow, JobRow, ModelRow, WorkRow
from tests.integration.worker.conftest import REAL, training
from tests.unit.worker.ml import tiny_encoder
from tests.worker_kit import Kit, Labelled, add_dataset, add_job, open_kit
from worker.formats import models
from worker.trainer import tuning

pytestmark = pytest.mark.slow

NETWORK = "tiny-MiniLM"
TUNED = {"epochs": 6, "learning_rate": 1e-4, "share": 0.5}
PATIENCE = 300.0


@pytest.fixture
def texts_kit(tmp_path: Path) -> Iterator[Kit]:
    """States are kept by who is passed only."""
    tiny_encoder.saved("bert", tmp_path / "weights")
    (tmp_path / "weights" / "bert").rename(tmp_path / "weights" / NETWORK)
    made = open_kit(tmp_path / "data", weights_dir=tmp_path / "weights", tuning_keep_seconds=600.0)
    yield made
    made.engine.dispose()


@pytest.fixture(autouse=True)
def _short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.trainer.attempt._TURN_SECONDS", 0.0)
    monkeypatch.setattr("worker.trainer.tuning._TURN_SECONDS", 0.0)


def texts(whose: str, each: int) -> list[Labelled]:
    """Of two kinds that nothing tells apart, so that no training soon ends."""
    return [
        (f"{n}.txt", "ab"[n % 2], f"the {('red', 'blue')[n // 2 % 2]} {whose} {n}".encode())
        for n in range(2 * each)
    ]


def dataset(kit: Kit, whose: str, each: int) -> DatasetVersionRow:
    made = add_dataset(kit, texts(whose, each), org=whose, backbone=NETWORK, modality="text")
    return kit.wait_version(made.id, PATIENCE)


def said(kit: Kit, job: str) -> list[str]:
    of = select(EventRow.message).where(EventRow.job_id == job)
    return list(kit.read(lambda session: session.scalars(of).all()))


def tensors(kit: Kit, job: JobRow) -> dict[str, np.ndarray]:
    assert job.status == "succeeded", job.error
    model = kit.read(lambda session: session.get_one(ModelRow, job.model_id))
    return dict(models.load(kit.storage, model.artifact, model.sha256).tensors)


def test_others_pass_a_training_which_ends_in_the_same_model(texts_kit: Kit) -> None:
    kit = texts_kit
    with training(kit, REAL):
        version = dataset(kit, "acme", 40)
        asked = {"method": "lora", "hyperparameters": TUNED, "seed": 1}
        alone = kit.wait_job(add_job(kit, version, **asked), PATIENCE)
        other = dataset(kit, "bolt", 3)
        passed = add_job(kit, version, **asked)
        kit.wait(lambda: any("Step" in one for one in said(kit, passed)), PATIENCE)
        quick = kit.wait_job(add_job(kit, other), PATIENCE)
        last = kit.wait_job(passed, PATIENCE)
    assert quick.status == "succeeded", quick.error
    assert (quick.finished_at or 0.0) < (last.finished_at or 0.0)
    first, second = tensors(kit, alone), tensors(kit, last)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_allclose(second[name], value, rtol=1e-3, atol=1e-3, err_msg=name)
    told = said(kit, passed)
    assert "Tuning goes on where a former try got to" in told
    for once in ("Job queued again: others' work is to pass", "Job started"):
        assert told.count(once) == 1
    assert sum(one.startswith("Fitting on") for one in told) == 1
    of = select(WorkRow.payload).where(WorkRow.job_id == passed)
    (payload,) = kit.read(lambda session: session.scalars(of).all())
    assert payload[tuning.SPENT] > 0
