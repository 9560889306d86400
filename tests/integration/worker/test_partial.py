"""A tuned model, from pictures to answers: the real backbone, the real trainer, the real reader."""

from __future__ import annotations

import torch
from sqlalchemy import func, select

from app.core.messages import Target
from app.infra import storage_keys
from app.infra.orm import JobRow, ModelRow, WorkRow
from tests.integration.worker.conftest import REAL, training
from tests.worker_kit import Kit, add_dataset, add_job, pictures
from worker.formats import models
from worker.ml.engines import load_engine
from worker.ml.engines.stream import embed_stream
from worker.ml.heads import scoring
from worker.predictor.loaded import load_head

TUNED = {"epochs": 1, "share": 0.5}


def model_of(kit: Kit, job: JobRow) -> ModelRow:
    assert job.status == "succeeded", job.error
    return kit.read(lambda session: session.get_one(ModelRow, job.model_id))


def unfinished(kit: Kit) -> int:
    open_ones = select(func.count()).where(WorkRow.finished_at.is_(None))
    return kit.read(lambda session: session.scalars(open_ones).one())


def test_a_network_is_tuned_judged_and_served(sqlite_kit: Kit) -> None:
    kit, given = sqlite_kit, pictures(6, 2)
    with training(kit, REAL):
        version = add_dataset(kit, given)
        kit.wait_version(version.id, 240)
        kit.wait(lambda: not unfinished(kit), 120)  # further views would change the frozen heads
        asked = {"method": "partial", "hyperparameters": TUNED}
        job = kit.wait_job(add_job(kit, version, **asked), 280)
        again = kit.wait_job(add_job(kit, version, **asked), 280)
    model = model_of(kit, job)
    assert model.card["hyperparameters"]["tuned"]["share"] == 0.5
    assert {"squish", "mirror", "crop", "pad"} <= set(model.card["views"])
    assert model.evaluation["how"]["method"] == "k-fold"
    assert again.progress is not None
    assert again.progress["embedding"]["new"] == 0
    assert not list(kit.storage.keys(storage_keys.TUNINGS))
    stored = [
        models.load(kit.storage, one.artifact, one.sha256) for one in (model, model_of(kit, again))
    ]
    for name, value in stored[0].tensors.items():
        assert torch.equal(torch.from_numpy(value), torch.from_numpy(stored[1].tensors[name])), name
    _serves(kit, model, [data for _, _, data in given])


def _serves(kit: Kit, model: ModelRow, blobs: list[bytes]) -> None:
    """The stored head reads what the engine gives, and knows what it was trained on."""
    target = Target(
        model=model.id, backbone=model.backbone, artifact=model.artifact, sha256=model.sha256
    )
    head = load_head(kit.storage, target, None).live
    engine = load_engine(model.backbone, None, cache_dir=kit.settings.data_dir / "engines")
    features = {}
    for view in head.config.views:
        rows = dict(embed_stream(engine, blobs, view=view))
        features[view] = torch.stack([torch.from_numpy(rows[i]) for i in range(len(blobs))])
    said = scoring.predict(features, [head] * len(blobs), layout=engine.spec.layout)
    labels = [label for _, label, _ in pictures(6, 2)]
    assert [one.label for one in said] == labels
