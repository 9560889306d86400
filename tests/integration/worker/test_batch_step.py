"""Batches through the trainer: the real engine on pictures, the light one on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.core import batch, manifest
from app.core.batch import Fault
from app.core.messages import Target
from app.infra.orm import DatasetVersionRow, ModelRow, WorkRow
from app.infra.repositories import batches, work
from tests.batch_kit import (
    contents,
    lines,
    manifest_key,
    over_inputs,
    over_members,
    over_version,
    row_of,
    trained,
    wait_batch,
    works_of,
)
from tests.integration.worker.conftest import REAL, training
from tests.worker_kit import Kit, Labelled, add_dataset, add_job, packed, picture, pictures
from worker.answers.scoring import predict
from worker.ml.engines import load_engine
from worker.ml.images.views import decode_to
from worker.predictor.loaded import load_head
from worker.trainer import endings
from worker.trainer.endings import conclude
from worker.trainer.tensor_process import EngineCrashedError

Told = dict[str, float]


@pytest.mark.timeout(300)
def test_the_real_engine_says_what_the_predictor_would(sqlite_kit: Kit) -> None:
    kit = sqlite_kit
    fresh = [
        (f"new/{kind}-{i}.png", f"c{kind}", picture(7000 + 10 * kind + i, kind, 48))
        for kind in range(2)
        for i in range(4)
    ]
    spoilt = [*fresh, ("new/broken.png", "c0", picture(1, 0)[:200])]
    with training(kit, REAL):
        _, model = trained(kit, pictures(5))
        version = kit.wait_version(add_dataset(kit, spoilt).id, 90)
        found = wait_batch(kit, over_version(kit, model, version))
    assert found.status == "succeeded", found.error
    assert (found.total, found.done, found.failed, found.passes) == (9, 9, 1, 0)
    said = lines(kit, found.id)
    assert [one["index"] for one in said] == list(range(9))
    assert said[8]["error"]["code"] == "image_truncated"
    assert [one["label"] for one in said[:8]] == [label for _, label, _ in fresh]
    assert found.evaluation is not None
    assert found.evaluation[0]["accuracy"]["value"] == 1.0
    assert found.evaluation[0]["num_examples"] == 8
    for one, expected in zip(said[:8], predicted(kit, model, fresh), strict=True):
        told = {entry["label"]: entry["probability"] for entry in one["predictions"]}
        assert told == pytest.approx(expected, abs=0.02)
        assert one["probability"] == max(told.values())


@pytest.mark.timeout(300)
def test_the_real_engine_reads_texts(sqlite_kit: Kit) -> None:
    kit = sqlite_kit
    said = {"card": "my card has not arrived", "rate": "what is the exchange rate today"}
    backbone = "all-MiniLM-L6-v2"
    members = [
        (f"{label}.csv:{i}", label, f"{text}, {i} times".encode())
        for label, text in said.items()
        for i in range(4)
    ]
    with training(kit, REAL):
        version = add_dataset(kit, members, backbone=backbone, modality="text")
        job = kit.wait_job(add_job(kit, kit.wait_version(version.id, 90)), 90)
        assert job.status == "succeeded", job.error
        fresh = [("1", "", b"where is my card?"), ("2", "", b"tell me the exchange rate")]
        found = wait_batch(kit, over_members(kit, str(job.model_id), fresh))
    assert found.status == "succeeded", found.error
    assert found.passes == 2
    assert [one["label"] for one in lines(kit, found.id)] == ["card", "rate"]


def predicted(kit: Kit, model: str, members: Sequence[Labelled]) -> list[Told]:
    """The probabilities of each picture by the predictor's own code, in full precision."""
    row = kit.read(lambda session: session.get_one(ModelRow, model))
    target = Target(model=row.id, backbone=row.backbone, artifact=row.artifact, sha256=row.sha256)
    head = load_head(kit.storage, target, None)
    engine: Any = load_engine(row.backbone, None, cache_dir=kit.settings.data_dir / "engines")
    features = {}
    for view in head.live.config.views:
        pixels = [decode_to(data, view, engine.spec.input_size) for _, _, data in members]  # type: ignore[arg-type]
        features[view] = engine.embed(np.stack(pixels))
    found = predict(features, [head] * len(members), layout=engine.spec.layout)
    return [dict(zip(head.live.config.classes, one.probabilities, strict=True)) for one in found]


def test_chunks_are_committed_one_by_one_and_spread(kit: Kit) -> None:
    with training(kit), training(kit), training(kit):
        version, model = trained(kit, contents(30))
        found = wait_batch(kit, over_version(kit, model, version, chunk=4))
    assert found.status == "succeeded"
    assert (found.done, found.failed, found.passes) == (30, 0, 0)
    assert [one["index"] for one in lines(kit, found.id)] == list(range(30))
    assert [one.state for one in works_of(kit, found.id)] == ["done"] * 8
    assert found.started_at is not None
    assert found.finished_at is not None
    assert found.evaluation is not None
    assert found.evaluation[0]["num_examples"] == 30


def test_only_what_is_missing_is_embedded(kit: Kit) -> None:
    with training(kit):
        version, model = trained(kit, contents(6))
        first = wait_batch(kit, over_members(kit, model, contents(10)))
        for key in [key for key in kit.storage.keys("embeddings") if "squish" in key]:
            kit.storage.delete(key)
        second = wait_batch(kit, over_version(kit, model, version))
        third = wait_batch(kit, over_version(kit, model, version))
    assert (first.passes, second.passes, third.passes) == (4, 6, 0)
    assert first.evaluation is None
    assert lines(kit, second.id) == lines(kit, third.id)


def test_pictures_that_are_embedded_are_not_fetched_again(kit: Kit) -> None:
    with training(kit):
        version, model = trained(kit, contents(6))
        for pack in version.packs:
            kit.storage.delete(f"packs/acme/{pack}")
        found = wait_batch(kit, over_version(kit, model, version))
    assert (found.status, found.done, found.passes) == ("succeeded", 6, 0)


def test_an_input_is_given_up_after_three_deaths_not_one(sqlite_kit: Kit) -> None:
    kit = sqlite_kit
    with training(kit):
        _, model = trained(kit, contents(6))
    batch_id = over_members(kit, model, [("k.png", "c0", b"die")])
    for crashes in (0, 1, 2):
        claim = kit.commit(lambda s: work.claim(s, worker="w", kinds=["batch"], lease_seconds=60))
        assert claim is not None
        assert claim.crashes == crashes
        kit.commit(lambda s, c=claim: endings.crashed(s, c, "it died"))
        kit.commit(lambda s: s.execute(update(WorkRow).values(not_before=0.0)))
        (row,) = works_of(kit, batch_id)
        assert ("fault" in row.payload) == (crashes == 2)
        assert row.state == "queued"


def test_a_death_while_the_backbone_loads_halves_nothing(sqlite_kit: Kit) -> None:
    kit = sqlite_kit
    with training(kit):
        _, model = trained(kit, contents(6))
    batch_id = over_members(kit, model, contents(4))
    claim = kit.commit(lambda s: work.claim(s, worker="w", kinds=["batch"], lease_seconds=60))
    assert claim is not None
    kit.commit(lambda s: conclude(s, claim, EngineCrashedError("it died")))
    (row,) = works_of(kit, batch_id)
    assert (row.state, row.crashes) == ("queued", 1)
    assert row_of(kit, batch_id).problems == []


def test_bad_inputs_have_errors_in_their_places(kit: Kit) -> None:
    examples, pack = packed([*contents(6), ("x.png", "c0", b"bad one")])
    inputs = list(batch.inputs(examples, []))
    fault = Fault(code="encoding", message="no UTF-8")
    inputs.insert(2, inputs[0].model_copy(update={"fault": fault, "length": 0}))
    with training(kit):
        _, model = trained(kit, contents(6))
        found = wait_batch(kit, over_inputs(kit, model, inputs, pack))
    codes = [one.get("error", {}).get("code") for one in lines(kit, found.id)]
    assert codes == [None, None, "encoding", None, None, None, None, "image_invalid"]
    assert (found.done, found.failed) == (8, 2)


def test_equal_inputs_are_answered_each(kit: Kit) -> None:
    twice = [("1.png", "", b"same"), ("2.png", "", b"same"), ("3.png", "", b"other")]
    with training(kit):
        _, model = trained(kit, contents(6))
        found = wait_batch(kit, over_members(kit, model, twice))
    assert [one["path"] for one in lines(kit, found.id)] == ["1.png", "2.png", "3.png"]
    assert found.passes == 2


def test_doubtful_labels_are_predicted_and_not_counted(kit: Kit) -> None:
    version = add_dataset(kit, contents(8))
    doubted = next(manifest.load(kit.storage.fetch(manifest_key(version)).read_bytes()))
    problem = {"code": "label_conflict", "message": "two labels", "excluded": True}

    def doubt(session: Session) -> None:
        row = session.get_one(DatasetVersionRow, version.id, with_for_update=True)
        row.problems = [*row.problems, problem | {"example_id": doubted.id}]

    kit.commit(doubt)
    with training(kit):
        kit.wait_version(version.id)
        job = kit.wait_job(add_job(kit, version))
        found = wait_batch(kit, over_version(kit, str(job.model_id), version))
    assert (found.done, found.failed) == (8, 0)
    assert found.evaluation is not None
    assert found.evaluation[0]["num_examples"] == 7


def test_a_batch_waits_for_its_dataset(kit: Kit) -> None:
    with training(kit):
        _, model = trained(kit, contents(6))
    version = add_dataset(kit, contents(9))
    batch_id = over_version(kit, model, version)
    assert row_of(kit, batch_id).status == "validating_files"
    with training(kit):
        found = wait_batch(kit, batch_id)
    ready = kit.version(version.id).ready_at
    assert (found.status, found.passes) == ("succeeded", 0)
    assert ready is not None
    assert found.started_at is not None
    assert ready <= found.started_at


def test_a_dataset_that_fails_fails_its_batches(kit: Kit) -> None:
    with training(kit):
        _, model = trained(kit, contents(6))
        version = add_dataset(kit, [("1", "a", b"bad 1"), ("2", "b", b"bad 2")])
        found = wait_batch(kit, over_version(kit, model, version))
    assert found.error is not None
    assert found.error["code"] == "dataset_failed"
    assert {one.state for one in works_of(kit, found.id)} == {"failed"}


def test_a_picture_that_kills_costs_only_itself(kit: Kit) -> None:
    deadly = [*contents(9, b"fresh "), ("k.png", "c0", b"die"), ("l.png", "c0", b"after")]
    with training(kit):
        _, model = trained(kit, contents(6))
        found = wait_batch(kit, over_members(kit, model, deadly, chunk=16), 180)
    assert found.status == "succeeded", found.error
    codes = [one.get("error", {}).get("code") for one in lines(kit, found.id)]
    assert codes == [None] * 9 + ["worker_lost", None]
    assert {problem["code"] for problem in found.problems} == {"worker_lost"}


def test_a_damaged_model_fails_the_batch(kit: Kit) -> None:
    with training(kit):
        version, model = trained(kit, contents(6))
        row = kit.read(lambda session: session.get_one(ModelRow, model))
        head: Path = kit.storage.fetch(f"{row.artifact}/head.safetensors")
        head.write_bytes(head.read_bytes()[:-1] + b"\xff")
        found = wait_batch(kit, over_version(kit, model, version, chunk=2))
    assert found.status == "failed"
    assert found.error is not None
    assert found.error["code"] == "model_corrupt"
    assert {one.state for one in works_of(kit, found.id)} == {"failed"}


def test_a_cancel_stops_it_and_keeps_what_is_done(kit: Kit) -> None:
    with training(kit):
        version, model = trained(kit, contents(6))
        batch_id = over_members(kit, model, contents(400, b"slow "), chunk=20)
        kit.wait(lambda: row_of(kit, batch_id).done)
        kit.commit(lambda session: batches.cancel(session, batch_id))
        done = row_of(kit, batch_id).done
        job = kit.wait_job(add_job(kit, version))
        after = row_of(kit, batch_id)
    assert job.status == "succeeded"
    assert (after.status, after.done) == ("cancelled", done)
    assert 0 < done < 400
    assert len(lines(kit, batch_id)) == done


def test_a_job_passes_a_batch_which_loses_nothing(kit: Kit) -> None:
    with training(kit):
        version, model = trained(kit, contents(6))
        batch_id = over_members(kit, model, contents(600, b"slow "), chunk=600)
        kit.wait(lambda: row_of(kit, batch_id).status == "running")
        job = kit.wait_job(add_job(kit, version))
        found = wait_batch(kit, batch_id)
    assert found.status == "succeeded"
    assert (found.done, found.passes) == (600, 600)
    assert job.finished_at is not None
    assert found.finished_at is not None
    assert job.finished_at < found.finished_at
