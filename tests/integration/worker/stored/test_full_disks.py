"""What was accepted outlasts a disk that is full for a while, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app.core.errors import HeadstartError
from app.infra import storage_keys
from app.infra.orm import RequestBatchRow, RequestPieceRow, WorkRow
from app.infra.repositories import datasets, work
from app.infra.repositories.openai import request_batches
from app.infra.repositories.openai.request_batches import Piece, PlannedRequests
from app.infra.repositories.work import Claim
from app.infra.storage.local import LocalStorage
from tests.batch_kit import contents, over_members, trained, wait_batch, works_of
from tests.batch_kit import row_of as bulk
from tests.integration.worker.conftest import training
from tests.integration.worker.test_request_steps import CHAT, begun, ended, row_of
from tests.worker_kit import Kit, add_dataset, add_job, put
from worker.trainer.endings import conclude

FULL = HeadstartError("storage_full", "the storage has no space left", retry_after=60)


def claimed(kit: Kit, kind: str) -> Claim:
    kit.commit(lambda session: session.execute(update(WorkRow).values(not_before=0.0)))
    found = kit.commit(
        lambda session: work.claim(
            session, worker="w", kinds=[kind], lease_seconds=60, overdue=True
        )
    )
    assert found is not None
    return found


def read(kit: Kit, count: int) -> str:
    """A batch whose file was read, in pieces of one request."""
    batch_id = begun(kit, count)
    started(kit, count)
    return batch_id


def started(kit: Kit, count: int) -> None:
    claim = claimed(kit, "requests")
    assert claim.payload["step"] == "read"
    pieces = [{"start": n, "offset": 0, "count": 1} for n in range(count)]
    kit.commit(lambda session: request_batches.start(session, claim, pieces, count))


def answer(kit: Kit, claim: Claim) -> None:
    """Keep a piece's answer."""
    start = int(claim.payload["start"])
    key = storage_keys.piece("acme", claim.id, kind="answers", fence=claim.fence)
    put(kit, key, f'{{"custom_id":"{start}"}}\n'.encode())
    piece = Piece(start=start, answers=key, errors=None, completed=1, failed=0)
    kit.commit(lambda session: request_batches.finish_piece(session, claim, piece))


def answered(kit: Kit, count: int) -> str:
    """A batch that is all answered."""
    batch_id = read(kit, count)
    for _ in range(count):
        answer(kit, claimed(kit, "requests"))
    return batch_id


def meets_a_full_disk(kit: Kit, kind: str) -> Claim:
    claim = claimed(kit, kind)
    kit.commit(lambda session: conclude(session, claim, FULL))
    return claim


def state(kit: Kit, claim: Claim) -> str:
    return kit.read(lambda session: session.get_one(WorkRow, claim.id)).state


def test_a_try_that_finds_no_room_leaves_no_files(
    sqlite_kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit, whole = sqlite_kit, LocalStorage.put
    batch_id = answered(kit, 1)
    more = storage_keys.piece("acme", "more", kind="errors", fence=1)
    put(kit, more, b'{"custom_id":"1"}\n')
    piece = RequestPieceRow(batch_id=batch_id, start=1, answers=None, errors=more)
    kit.commit(lambda session: session.add(piece))
    before = set(kit.storage.keys("files"))
    monkeypatch.setattr(LocalStorage, "put", _full_after_one(whole))
    with training(kit):
        kit.wait(lambda: any(one.error for one in _works(kit)))
        assert set(kit.storage.keys("files")) == before
        assert row_of(kit, batch_id).status == "finalizing"
        monkeypatch.setattr(LocalStorage, "put", whole)
        kit.commit(lambda session: session.execute(update(WorkRow).values(not_before=0.0)))
        row = ended(kit, batch_id)
    assert row.output_file_id
    assert row.error_file_id
    assert list(kit.storage.keys("requests")) == []


def _works(kit: Kit) -> list[WorkRow]:
    return kit.read(lambda session: list(session.scalars(select(WorkRow))))


def _full_after_one(
    whole: Callable[[LocalStorage, str, Path], None],
) -> Callable[[LocalStorage, str, Path], None]:
    put_before: list[str] = []

    def put_first(storage: LocalStorage, key: str, source: Path) -> None:
        if put_before:
            raise FULL
        put_before.append(key)
        whole(storage, key, source)

    return put_first


@pytest.mark.parametrize("seconds", [1, 700])
def test_what_is_all_answered_is_written_before_more_is_asked(kit: Kit, seconds: float) -> None:
    """Also where what is asked has become overdue meanwhile."""
    small = read(kit, 1)
    last = claimed(kit, "requests")
    planned = PlannedRequests(endpoint=CHAT, input_file_id="file-1")
    kit.commit(lambda s: request_batches.create(s, planned, organisation_id="acme").id)
    started(kit, 3)
    for of in (WorkRow, RequestBatchRow):
        earlier = update(of).values(created_at=of.created_at - seconds)
        kit.commit(lambda session, change=earlier: session.execute(change))
    answer(kit, last)
    following = claimed(kit, "requests")
    assert (following.payload["step"], following.payload["batch"]) == ("write", small)


def test_an_accepted_dataset_is_kept_and_who_waits_for_it_is_told(kit: Kit) -> None:
    version = add_dataset(kit, contents(6))
    job = add_job(kit, version)
    claim = meets_a_full_disk(kit, "embed")
    assert state(kit, claim) == "queued"
    assert kit.version(version.id).status == "processing"
    failed = kit.job(job)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error["code"] == "storage_full"
    seen = kit.read(lambda s: datasets.get(s, version.dataset_id, organisation_id="acme"))
    assert seen.waits_for == {"code": FULL.code, "message": FULL.message}
    with training(kit):
        kit.commit(lambda session: session.execute(update(WorkRow).values(not_before=0.0)))
        assert kit.wait_version(version.id).status == "ready"


def test_bulk_predictions_wait_for_room(sqlite_kit: Kit) -> None:
    kit = sqlite_kit
    with training(kit):
        _, model = trained(kit, contents(6))
    batch_id = over_members(kit, model, contents(4))
    meets_a_full_disk(kit, "batch")
    assert {one.state for one in works_of(kit, batch_id)} == {"queued"}
    assert bulk(kit, batch_id).error is None
    with training(kit):
        kit.commit(lambda session: session.execute(update(WorkRow).values(not_before=0.0)))
        assert wait_batch(kit, batch_id).status == "succeeded"
