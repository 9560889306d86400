"""Trainers that compute in either precision on one database: what they make never mixes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.infra.orm import ModelRow
from tests.batch_kit import contents, over_members, wait_batch
from tests.integration.worker.conftest import LIGHT, training
from tests.worker_kit import Kit, add_dataset, add_job, pictures
from worker.trainer.context import open_context
from worker.trainer.loop import Trainer

PLACE = "efficientnet_lite0-squish"


@contextmanager
def computing(kit: Kit, precision: str) -> Iterator[None]:
    """A trainer whose setting is `precision`."""
    own = replace(kit, settings=kit.settings.model_copy(update={"precision": precision}))
    with training(own):
        yield


def fitted(kit: Kit, job_id: str) -> dict[str, Any]:
    """The card of the model that a job made."""
    job = kit.wait_job(job_id)
    assert job.status == "succeeded", job.error
    return dict(kit.read(lambda session: session.get_one(ModelRow, job.model_id).card))


def test_a_fit_reads_embeddings_of_one_precision(kit: Kit) -> None:
    """What it trains on, is judged by and starts from; cached in the other, or in both."""
    with computing(kit, "f32"):
        version, _, held_out = (
            kit.wait_version(add_dataset(kit, pictures(4, seed=seed)).id)
            for seed in (0, 5000, 9000)
        )
        first = fitted(kit, add_job(kit, version, method="reptile", validation=held_out))
    with computing(kit, "bf16"):
        second = fitted(kit, add_job(kit, version, method="reptile", validation=held_out))
        third = fitted(kit, add_job(kit, version, method="reptile", validation=held_out))
    with computing(kit, "f32"):
        again = fitted(kit, add_job(kit, version, method="reptile", validation=held_out))
    assert [one["backbone"]["precision"] for one in (first, second, third, again)] == [
        "light-f32", "light-bf16", "light-bf16", "light-f32",
    ]  # fmt: skip
    for card in (first, second, third, again):
        engine = card["backbone"]["precision"]
        assert card["config"]["read"]
        assert all(name.startswith(f"{engine}-") for name in card["config"]["read"])
    assert first["config"]["others"] == again["config"]["others"] == 1
    assert second["config"]["others"] == 0
    assert second["embedding"]["new"] == 16
    assert third["embedding"]["new"] == again["embedding"]["new"] == 0


def test_a_batch_is_answered_in_its_models_precision(kit: Kit) -> None:
    with computing(kit, "bf16"):
        version = kit.wait_version(add_dataset(kit, contents(6)).id)
        job = kit.wait_job(add_job(kit, version))
        assert job.status == "succeeded", job.error
    with computing(kit, "f32"):
        batch = wait_batch(kit, over_members(kit, str(job.model_id), contents(8)))
    assert batch.status == "succeeded", batch.error
    assert (batch.passes, batch.problems) == (2, [])
    keys = {key.split("/")[2] for key in kit.storage.keys("embeddings") if "squish" in key}
    assert keys == {f"light-bf16-{PLACE}"}


def test_a_batch_on_a_machine_without_units_says_so_once(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with computing(kit, "bf16"):
        version = kit.wait_version(add_dataset(kit, contents(6)).id)
        job = kit.wait_job(add_job(kit, version))
        assert job.status == "succeeded", job.error
    monkeypatch.setenv("LIGHT_UNITS", "f32")
    with computing(kit, "auto"):
        batch = wait_batch(kit, over_members(kit, str(job.model_id), contents(8), chunk=3))
    assert batch.status == "succeeded", batch.error
    assert batch.passes == 8
    (said,) = batch.problems
    assert said["code"] == "precision_unavailable"
    assert "light-f32" in said["message"]
    assert "light-bf16" in said["message"]


def test_a_trainer_asked_for_bf16_without_units_takes_no_work(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHT_UNITS", "f32")
    version = add_dataset(kit, contents(6))
    settings = kit.settings.model_copy(update={"precision": "bf16"})
    with pytest.raises(HeadstartError) as refused:
        Trainer(open_context(settings, child=LIGHT)).run()
    assert refused.value.code == "precision_unavailable"
    assert kit.version(version.id).status == "processing"
