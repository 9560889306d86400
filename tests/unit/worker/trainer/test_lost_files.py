"""What the store has lost or damaged is looked for a while and then given up by its name; a store
that is away is waited for; and who waits is told why.
"""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from app.core.errors import HeadstartError
from app.infra.orm import EventRow, WorkRow
from app.infra.repositories import datasets, work
from app.infra.repositories.datasets import DatasetSnapshot
from app.infra.storage import DamagedError, MissingError
from tests.worker_kit import Kit, add_dataset, add_job
from worker.trainer.context import Context
from worker.trainer.endings import _TRIES_LOST, conclude
from worker.trainer.loop import Trainer

AWAY = HeadstartError("storage_unavailable", "the storage cannot be reached; try again")
WAITS = "Its examples wait to be embedded: "


@pytest.fixture
def waiting(kit: Kit) -> tuple[str, str]:
    """A dataset that is being embedded in two chunks, and a job that waits for it."""
    object.__setattr__(kit.settings, "embed_chunk", 1)
    version = add_dataset(kit, [("a", "a", b"1"), ("b", "b", b"2")])
    return version.dataset_id, add_job(kit, version)


def fails(kit: Kit, error: Exception, *, chunks: int = 1) -> None:
    """As many chunks are tried, and end so."""
    of = update(WorkRow).where(WorkRow.state == "queued")
    kit.commit(lambda session: session.execute(of.values(not_before=0.0)))
    for _ in range(chunks):
        claim = kit.commit(
            lambda session: work.claim(session, worker="w", kinds=["embed"], lease_seconds=60)
        )
        assert claim is not None
        kit.commit(lambda session, held=claim: conclude(session, held, error))


def seen(kit: Kit, dataset_id: str) -> DatasetSnapshot:
    return kit.read(lambda session: datasets.get(session, dataset_id, organisation_id="acme"))


def told(kit: Kit, job_id: str) -> list[str]:
    of = select(EventRow.message).where(EventRow.job_id == job_id).order_by(EventRow.id)
    lines = kit.read(lambda session: list(session.scalars(of)))
    return [line.removeprefix(WAITS) for line in lines if line.startswith(WAITS)]


@pytest.mark.parametrize(
    "error",
    [
        MissingError("packs/acme/1"),
        MissingError("manifests/acme/1.jsonl"),
        DamagedError("packs/acme/1", retry_after=5.0),
    ],
)
def test_what_stays_lost_ends_the_dataset_and_its_jobs(
    kit: Kit, waiting: tuple[str, str], error: Exception
) -> None:
    dataset, job = waiting
    wrapped = HeadstartError("storage_unavailable", "a part of this dataset cannot be read")
    wrapped.__cause__ = error
    for left in reversed(range(_TRIES_LOST)):
        assert seen(kit, dataset).version.status == "processing"
        fails(kit, wrapped if left % 2 else error, chunks=2 if left else 1)
    version = seen(kit, dataset).version
    assert version.status == "failed"
    assert version.error is not None
    assert version.error["code"] == "dataset_corrupt"
    assert "upload the dataset again" in version.error["message"]
    ended = kit.job(job)
    assert ended.status == "failed"
    assert ended.error is not None
    assert ended.error["code"] == "dataset_corrupt"
    assert seen(kit, dataset).waits_for is None


def test_a_store_that_is_away_is_waited_for_and_begins_the_count_anew(
    kit: Kit, waiting: tuple[str, str]
) -> None:
    dataset, job = waiting
    lost = MissingError("packs/acme/1")
    for error in [*[lost] * (_TRIES_LOST - 1), AWAY, *[lost] * (_TRIES_LOST - 1)]:
        fails(kit, error, chunks=2)
    for _ in range(3 * _TRIES_LOST):
        fails(kit, AWAY, chunks=2)
    assert seen(kit, dataset).version.status == "processing"
    assert kit.job(job).status == "validating_files"


def test_who_waits_is_told_for_what_and_each_reason_once(
    kit: Kit, waiting: tuple[str, str]
) -> None:
    dataset, job = waiting
    assert seen(kit, dataset).waits_for is None
    fails(kit, AWAY, chunks=2)
    fails(kit, AWAY, chunks=2)
    assert told(kit, job) == [AWAY.message]
    assert seen(kit, dataset).waits_for == {"code": AWAY.code, "message": AWAY.message}
    fails(kit, MissingError("packs/acme/1"), chunks=2)
    [_, why] = told(kit, job)
    assert "gone from the storage" in why
    told_now = seen(kit, dataset).waits_for
    assert told_now is not None
    assert told_now["message"] == why


def test_a_pack_that_is_gone_is_met_by_the_trainer_as_such(
    kit: Kit, context: Context, waiting: tuple[str, str]
) -> None:
    """With the real step, up to its last try."""
    dataset, job = waiting
    [pack] = kit.storage.keys("packs")
    kit.storage.delete(pack)
    trainer = Trainer(context)
    for _ in range(_TRIES_LOST):
        kit.commit(lambda session: session.execute(update(WorkRow).values(not_before=0.0)))
        for _ in range(2):
            trainer._turn()
    errors = [seen(kit, dataset).version.error, kit.job(job).error]
    assert [error and error["code"] for error in errors] == ["dataset_corrupt"] * 2


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("models/acme/m/1/head.safetensors", "model_corrupt"),
        ("requests/acme/w/1-answers.jsonl", "content_corrupt"),
    ],
)
def test_what_is_lost_gives_its_name(
    kit: Kit, waiting: tuple[str, str], key: str, code: str
) -> None:
    dataset, _ = waiting
    for _ in range(_TRIES_LOST - 1):
        fails(kit, MissingError(key), chunks=2)
    fails(kit, MissingError(key))
    error = seen(kit, dataset).version.error
    assert error is not None
    assert error["code"] == code
