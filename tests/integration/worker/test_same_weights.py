"""Batches and exports of a model whose backbone has other weights now."""

from __future__ import annotations

import json

from app.infra.orm import ModelRow, WorkRow
from app.infra.repositories import exports
from tests.batch_kit import contents, over_version, trained, wait_batch
from tests.integration.worker.conftest import training
from tests.worker_kit import Kit
from worker import model_store

TRAINED = "f" * 64


def retold(kit: Kit, model: str) -> ModelRow:
    """The model, as one that was trained on TRAINED."""
    row = kit.read(lambda session: session.get_one(ModelRow, model))
    path = kit.storage.fetch(f"{row.artifact}/{model_store.CARD}")
    card = json.loads(path.read_bytes())
    card["backbone"]["weights_sha256"] = TRAINED
    path.write_text(json.dumps(card))
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
