"""From an upload's rows to a model with the real backbone, on SQLite."""

from __future__ import annotations

from pathlib import Path

from app.infra.orm import JobRow, ModelRow
from tests.integration.worker.conftest import REAL, training
from tests.worker_kit import Kit, add_dataset, add_job, pictures
from worker import model_store


def model_of(kit: Kit, job: JobRow) -> ModelRow:
    assert job.status == "succeeded", job.error
    return kit.read(lambda session: session.get_one(ModelRow, job.model_id))


def test_pictures_are_told_apart(sqlite_kit: Kit) -> None:
    kit = sqlite_kit
    with training(kit, REAL):
        version = add_dataset(kit, [*pictures(6, 3), ("c0/broken.png", "c0", b"\x89PNG nonsense")])
        job = kit.wait_job(add_job(kit, version), 240)
        again = kit.wait_job(add_job(kit, version))
    model = model_of(kit, job)
    assert kit.version(version.id).num_examples == 18
    assert [problem["path"] for problem in kit.version(version.id).problems] == ["c0/broken.png"]
    assert model.evaluation["accuracy"]["value"] > 0.8
    card = model_store.load(kit.storage, model.artifact, model.sha256).card
    assert card["backbone"]["weights_sha256"].startswith("57934424")
    assert card["labels"] == ["c0", "c1", "c2"]
    assert card["libraries"]["torch"]
    assert model.bytes < 200_000
    assert again.progress is not None
    assert again.progress["embedding"]["new"] == 0


def test_memory_stays_flat(sqlite_kit: Kit) -> None:
    """A short form of the benchmark's 100 jobs: parent and child together."""
    kit = sqlite_kit
    with training(kit, REAL) as world:
        version = add_dataset(kit, pictures(6, 2))
        for _ in range(10):
            kit.wait_job(add_job(kit, version), 240)
        before = resident(world.child.pid)
        for _ in range(30):
            kit.wait_job(add_job(kit, version))
        assert resident(world.child.pid) - before < 20 * 2**20


def resident(pid: int | None) -> int:
    """Bytes of a process in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024
