"""What is embedded for a job alone ends with it, on both databases."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.infra.orm import DatasetVersionRow, WorkRow
from app.infra.repositories import chunks, jobs, work
from tests.integration.worker.conftest import training
from tests.worker_kit import Kit, Labelled, add_dataset, add_job

TINY: list[Labelled] = [(f"{c}{i}", c, f"{c} {i}".encode()) for c in "ab" for i in range(3)]
OTHER = "squeezenet1_1"


def states(kit: Kit, version: DatasetVersionRow, backbone: str) -> list[str]:
    """Of the embed work that somebody waits for."""
    statement = select(WorkRow.state).where(
        WorkRow.kind == "embed", WorkRow.version_id == version.id, WorkRow.backbone == backbone,
        WorkRow.priority == 0,
    )  # fmt: skip
    return kit.read(lambda session: list(session.scalars(statement)))


def ask(kit: Kit, version: DatasetVersionRow) -> None:
    def step(session: Session) -> None:
        fresh = session.get_one(DatasetVersionRow, version.id)
        chunks.ensure_embedded(session, fresh, modality="image", backbone=OTHER, chunk=3)

    kit.commit(step)


def test_a_cancel_frees_the_worker_that_embeds_for_that_job_alone(kit: Kit) -> None:
    version = add_dataset(kit, TINY)
    with training(kit):
        kit.wait_version(version.id)
    ask(kit, version)
    one, other = (add_job(kit, version, backbone=b) for b in (OTHER, f"{OTHER}+efficientnet_lite0"))
    claim = kit.commit(
        lambda session: work.claim(session, worker="w", kinds=["embed"], lease_seconds=60)
    )
    assert claim is not None
    kit.commit(lambda session: jobs.cancel_job(session, one))
    assert set(states(kit, version, OTHER)) == {"queued", "running"}
    kit.commit(lambda session: jobs.cancel_job(session, other))
    assert set(states(kit, version, OTHER)) == {"cancelled"}
    assert not kit.read(lambda session: work.held(session, claim))
    ask(kit, version)
    assert set(states(kit, version, OTHER)) == {"cancelled", "queued"}


def test_what_was_withdrawn_beside_what_is_done_is_queued_for_the_next_job(kit: Kit) -> None:
    version = add_dataset(kit, TINY)
    with training(kit):
        kit.wait_version(version.id)
    ask(kit, version)
    claim = kit.commit(
        lambda session: work.claim(session, worker="w", kinds=["embed"], lease_seconds=60)
    )
    assert claim is not None
    kit.commit(lambda session: work.finish(session, claim))
    job = add_job(kit, version, backbone=OTHER)
    kit.commit(lambda session: jobs.cancel_job(session, job))
    left = states(kit, version, OTHER)
    ask(kit, version)
    assert sorted(states(kit, version, OTHER)) == sorted([*left, *["queued"] * left.count("done")])
    ask(kit, version)
    assert states(kit, version, OTHER).count("queued") == 1, "nothing is queued twice"


def test_what_makes_a_version_ready_goes_on(kit: Kit) -> None:
    version = add_dataset(kit, TINY)
    job_id = add_job(kit, version)
    kit.commit(lambda session: jobs.cancel_job(session, job_id))
    with training(kit):
        assert kit.wait_version(version.id).status == "ready"
