"""What real heads hold of an example is gone with it; what they cannot be without, is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from app.core.held_out import FILE
from app.infra.orm import DatasetVersionRow, ModelRow
from app.infra.storage import fetch_manifest
from tests.api.service import serve
from tests.batch_kit import lines, over_version, wait_batch
from tests.factories import make_key
from tests.faults.test_deletions import chore
from tests.integration.worker.conftest import REAL, training
from tests.integration.worker.test_real_training import TEXTS, only
from tests.worker_kit import Kit, Labelled, add_dataset, add_job, picture, pictures
from worker.formats import models
from worker.formats.segments import load as load_segment
from worker.ml.artifact import HeadArtifact, HeadConfig

PICTURE: Labelled = ("c1/patient-7.png", "c1", picture(4242, 1))
TEXT: Labelled = ("refund/7", "refund", b"Erika Mustermann wants her 7,311 crowns back")


@contextmanager
def erasing(kit: Kit) -> Iterator[httpx.Client]:
    with serve(kit.settings) as service, service.client(make_key(kit.sessions, "acme")) as client:
        yield client


def version_of(kit: Kit, members: list[Labelled], **options: Any) -> DatasetVersionRow:
    return kit.wait_version(add_dataset(kit, members, **options).id, 240)


def trained(kit: Kit, version: DatasetVersionRow, method: str = "auto", **asked: Any) -> ModelRow:
    job = kit.wait_job(add_job(kit, version, method=method, hyperparameters=asked), 240)
    assert job.status == "succeeded", job.error
    return model(kit, str(job.model_id))


def model(kit: Kit, name: str) -> ModelRow:
    return kit.read(lambda session: session.get_one(ModelRow, name))


def example_of(kit: Kit, version: DatasetVersionRow, path: str) -> str:
    listed = fetch_manifest(kit.storage, "acme", version.manifest_sha256).read_text()
    (line,) = [one for one in listed.splitlines() if f'"path":"{path}"' in one]
    return line.partition('{"id":"')[2][:27]


def head_of(kit: Kit, row: ModelRow) -> HeadArtifact:
    """The head as a predictor reads it: files, hashes and card agree, or it raises."""
    stored = models.load(kit.storage, row.artifact, row.sha256)
    tensors = {name: torch.from_numpy(value.copy()) for name, value in stored.tensors.items()}
    assert stored.card == row.card
    return HeadArtifact(tensors=tensors, config=HeadConfig.from_json(stored.card["config"]))


def rows_of(kit: Kit) -> set[bytes]:
    """Every embedding that lies in storage."""
    files = [kit.storage.fetch(key) for key in kit.storage.keys("embeddings")]
    return {row.tobytes() for file in files for row in load_segment(file)}


def left_in(folder: Path, *traces: bytes) -> list[tuple[str, bytes]]:
    """Which files of the whole data folder have which of the traces."""
    files = [one for one in folder.rglob("*") if one.is_file() and "engines" not in one.parts]
    return [(one.name, trace) for one in files for trace in traces if trace in one.read_bytes()]


@pytest.mark.parametrize(
    ("members", "one", "options"),
    [
        (pictures(6, 2), PICTURE, {}),
        (TEXTS, TEXT, {"backbone": "all-MiniLM-L6-v2", "modality": "text"}),
    ],
    ids=["pictures", "texts"],
)
def test_a_head_forgets_the_example_and_answers_on(
    sqlite_kit: Kit, members: list[Labelled], one: Labelled, options: dict[str, Any]
) -> None:
    kit = sqlite_kit
    asked = only("auto") if not options else {}
    with training(kit, REAL):
        version = version_of(kit, members, **options)
        before = rows_of(kit)
        version = version_of(kit, [*members, one], **options)
        fresh = rows_of(kit) - before
        row = trained(kit, version, **asked)
    assert fresh
    name = example_of(kit, version, one[0])
    head = head_of(kit, row)
    place = head.config.exemplar_ids.index(name)
    kept = head.tensors["exemplars"][place].numpy().tobytes()
    assert name in kit.storage.fetch(f"{row.artifact}/{FILE}").read_text()
    with erasing(kit) as client:
        url = f"/v1/datasets/{version.dataset_id}/erasures"
        answer = client.post(url, json={"examples": [name]})
        assert answer.status_code == 201, answer.text
        told = answer.json()
        assert told["models_fitted_on_it"] == [
            {"model": row.id, "trained_on": 1, "judged_on": 0, "kept": True}
        ]
        assert client.get(f"/v1/models/{row.id}").json()["trained_on_erased"] == 1
        assert client.get(f"/v1/models/{row.id}/evaluation").status_code == 200
        judged = client.get(f"/v1/models/{row.id}/evaluation/examples", params={"limit": 100})
        assert name not in judged.text
        assert len(judged.json()["data"]) == len(members)
        chore(kit)
        done = client.get(f"{url}/{told['id']}").json()
        assert (done["status"], done["deletion"]["remaining"]) == ("done", {})
    assert left_in(kit.settings.data_dir, one[2], kept, name.encode(), *fresh) == []
    again = head_of(kit, model(kit, row.id))
    assert len(again.config.exemplar_ids) == len(again.tensors["exemplars"])
    assert len(again.config.exemplar_ids) == len(head.config.exemplar_ids) - 1
    for tensor in head.tensors:
        if not tensor.startswith("exemplar"):
            assert torch.equal(head.tensors[tensor], again.tensors[tensor])
    left = [at for at in range(len(head.config.exemplar_ids)) if at != place]
    assert torch.equal(head.tensors["exemplars"][left], again.tensors["exemplars"])
    assert again.config.classes == head.config.classes
    with training(kit, REAL):
        batch = over_version(kit, row.id, kit.version(version.id))
        assert wait_batch(kit, batch, 240).failed == 0
    assert len(lines(kit, batch)) == len(members)


def test_a_head_of_its_examples_goes_or_the_erasure_is_refused(sqlite_kit: Kit) -> None:
    kit = sqlite_kit
    with training(kit, REAL):
        version = version_of(kit, [*pictures(4, 2), PICTURE])
        row = trained(kit, version, "matching", views=["squish"])
        plain = trained(kit, version, "ridge", views=["squish"])
    name = example_of(kit, version, PICTURE[0])
    with erasing(kit) as client:
        url = f"/v1/datasets/{version.dataset_id}/erasures"
        refused = client.post(url, json={"examples": [name]})
        assert (refused.status_code, refused.json()["code"]) == (409, "model_holds_example")
        assert row.id in refused.json()["detail"]
        assert client.get(f"/v1/datasets/{version.dataset_id}").json()["num_erased"] == 0
        assert PICTURE[2] in _storage(kit)
        told = client.post(url, json={"examples": [name], "models": "delete"}).json()
        assert {one["model"]: one["kept"] for one in told["models_fitted_on_it"]} == {
            row.id: False,
            plain.id: False,
        }
        assert client.get("/v1/models").json()["data"] == []
        chore(kit)
        assert client.get(f"{url}/{told['id']}").json()["status"] == "done"
    assert left_in(kit.settings.data_dir, PICTURE[2], name.encode()) == []


def _storage(kit: Kit) -> bytes:
    return b"".join(kit.storage.fetch(key).read_bytes() for key in kit.storage.keys(""))


def test_a_head_answers_on_without_a_single_exemplar(sqlite_kit: Kit) -> None:
    """Of one example a class, both are erased: nothing is left to compare inputs with."""
    kit, members = sqlite_kit, pictures(1, 2)
    with training(kit, REAL):
        version = version_of(kit, members)
        row = trained(kit, version, **only("auto"))
        others = version_of(kit, pictures(1, 2, seed=70))
        for path, label, _ in members:
            name = example_of(kit, kit.version(version.id), path)
            with erasing(kit) as client:
                url = f"/v1/datasets/{version.dataset_id}/erasures"
                kit.wait(
                    lambda url=url, name=name: (
                        client.post(url, json={"examples": [name]}).status_code == 201
                    ),
                    60,
                )
            batch = over_version(kit, row.id, others)
            assert wait_batch(kit, batch, 240).failed == 0, label
            assert len(lines(kit, batch)) == 2
    assert head_of(kit, model(kit, row.id)).config.exemplar_ids == ()
    assert model(kit, row.id).trained_on_erased == 2
    assert kit.version(version.id).num_examples == 0
