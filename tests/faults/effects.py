"""What must hold after any fault: every effect exactly once, every artifact whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import select

from app.infra.orm import DatasetVersionRow, EventRow, ModelRow, WorkRow
from tests.worker_kit import Kit, Labelled, add_dataset
from worker.formats.models import load
from worker.trainer.idle.sweeper import Sweeper


def tiny(per_class: int = 2, classes: int = 2) -> list[Labelled]:
    """Contents that the light tensor process embeds in no time."""
    return [
        (f"c{c}/{i}", f"c{c}", f"{c} {i}".encode())
        for c in range(classes)
        for i in range(per_class)
    ]


def said(kit: Kit, message: str) -> Counter[str]:
    """How often each job's history has a line."""
    statement = select(EventRow.job_id).where(EventRow.message == message)
    return Counter(kit.read(lambda session: list(session.scalars(statement))))


def models(kit: Kit) -> list[ModelRow]:
    return kit.read(lambda session: list(session.scalars(select(ModelRow))))


def assert_once(kit: Kit, job_ids: Iterable[str]) -> None:
    """Each job succeeded once, has one model, and that model's artifact loads."""
    wanted = list(job_ids)
    assert {kit.job(job_id).status for job_id in wanted} == {"succeeded"}
    succeeded = said(kit, "Job succeeded")
    assert {job_id: succeeded[job_id] for job_id in wanted} == dict.fromkeys(wanted, 1)
    found = models(kit)
    assert sorted(str(model.job_id) for model in found) == sorted(wanted)
    assert_whole(kit, found)


def assert_whole(kit: Kit, found: Iterable[ModelRow]) -> None:
    """Every model's artifact is what was registered."""
    for model in found:
        stored = load(kit.storage, model.artifact, model.sha256)
        assert stored.card == model.card


def assert_swept(kit: Kit) -> None:
    """After a sweep each model has its one artifact, and nothing else lies there."""
    Sweeper(kit.sessions, kit.storage).sweep()
    folders = {key.rpartition("/")[0] for key in kit.storage.keys("models")}
    assert folders == {model.artifact for model in models(kit)}


def work_of(kit: Kit, job_id: str) -> WorkRow:
    statement = select(WorkRow).where(WorkRow.job_id == job_id)
    return kit.read(lambda session: session.scalars(statement).one())


def without_idle_work(kit: Kit) -> None:
    """Drop idle-time work, so that a test sees only its own."""
    idle = select(WorkRow).where(WorkRow.priority > 0)
    kit.commit(lambda session: [session.delete(row) for row in session.scalars(idle)])


def ready_version(kit: Kit) -> DatasetVersionRow:
    """A version that some worker has embedded."""
    version = kit.wait_version(add_dataset(kit, tiny()).id, 60)
    without_idle_work(kit)
    return version
