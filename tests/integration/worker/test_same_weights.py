"""Batches and exports of a model whose backbone has other weights now."""

from __future__ import annotations

from safetensors.numpy import save_file
from sqlalchemy import update

from app.infra.orm import ModelRow, WorkRow
from app.infra.repositories import exports
from app.infra.storage import scratch, staging
from tests.batch_kit import contents, over_version, trained, wait_batch
from tests.integration.worker.conftest import training
from tests.worker_kit import Kit
from worker.formats import models

TRAINED = "f" * 64


def retold(kit: Kit, model: str, what: str = "weights_sha256") -> ModelRow:
    """The model, as one that was trained on TRAINED, or on weights read so."""
    row = kit.read(lambda session: session.get_one(ModelRow, model))
    stored = models.load(kit.storage, row.artifact, row.sha256)
    card = {**stored.card, "backbone": {**stored.card["backbone"], what: TRAINED}}
    with scratch(staging(kit.settings)) as folder:
        save_file(dict(stored.tensors), folder / models.HEAD)
        again = models.write(kit.storage, folder, row.artifact, card)
    values = {"sha256": again.sha256, "card": dict(again.card)}
    told = update(ModelRow).where(ModelRow.id == model).values(**values)
    kit.commit(lambda session: session.execute(told))
    return row


def test_a_batch_is_refused(kit: Kit) -> None:
    with training(kit):
        version, model = trained(kit, contents(6))
        retold(kit, model)
        found = wait_batch(kit, over_version(kit, model, version))
    assert found.status == "failed"
    assert found.error is not None
    assert found.error["code"] == "backbone_unavailable"
    assert TRAINED in found.error["message"]


def test_a_batch_on_weights_read_otherwise_is_refused(kit: Kit) -> None:
    with training(kit):
        version, model = trained(kit, contents(6))
        retold(kit, model, "fingerprint")
        found = wait_batch(kit, over_version(kit, model, version))
    assert (found.status, (found.error or {})["code"]) == ("failed", "backbone_unavailable")
    assert "side file" in (found.error or {})["message"]


def test_an_export_is_refused(kit: Kit) -> None:
    with training(kit):
        _, model = trained(kit, contents(6))
        row = retold(kit, model)
        kit.commit(
            lambda session: exports.ask(
                session, session.get_one(ModelRow, model), "onnx", stale=None
            )
        )

        def ended() -> WorkRow | None:
            found = kit.read(lambda session: exports.find(session, row, "onnx"))
            return found if found is not None and found.finished_at is not None else None

        found = kit.wait(ended, 60)
    assert found.state == "failed"
    assert found.error["code"] == "backbone_unavailable"
    assert TRAINED in found.error["message"]
