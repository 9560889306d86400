"""Batches of requests when something is away or breaks, on both databases."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.infra import erasure, storage_keys
from app.infra.orm import RequestBatchRow, WorkRow
from app.infra.repositories import work
from app.infra.repositories.openai import files, request_batches
from app.infra.repositories.openai.files import NewFile
from app.infra.repositories.openai.request_batches import Piece, PlannedRequests
from app.infra.storage import MissingError
from tests.integration.worker.conftest import training
from tests.worker_kit import Kit, organisation, put
from worker.trainer.endings import conclude

CHAT = "/v1/chat/completions"


def begun(kit: Kit, count: int, file_id: str = "file-1") -> str:
    org = organisation(kit)
    told = {"method": "POST", "url": CHAT, "body": {"model": "ft:none", "messages": []}}
    data = "\n".join(json.dumps(told | {"custom_id": str(n)}) for n in range(count)).encode()
    key = storage_keys.file(org, file_id)
    put(kit, key, data)
    new = NewFile(id=file_id, purpose="batch", filename="x", bytes=len(data), sha256="0", key=key)

    def make(session: Session) -> str:
        files.create(session, new, organisation_id=org)
        planned = PlannedRequests(endpoint=CHAT, input_file_id=file_id)
        return request_batches.create(session, planned, organisation_id=org).id

    return kit.commit(make)


def row_of(kit: Kit, batch_id: str) -> RequestBatchRow:
    return kit.read(lambda session: session.get_one(RequestBatchRow, batch_id))


def ended(kit: Kit, batch_id: str) -> RequestBatchRow:
    kit.wait(lambda: row_of(kit, batch_id).status in request_batches.ENDED)
    return row_of(kit, batch_id)


def lines(kit: Kit, file_id: str | None) -> list[dict[str, Any]]:
    row = kit.read(lambda session: files.find(session, str(file_id), organisation_id="acme"))
    assert row is not None
    return [json.loads(one) for one in kit.storage.fetch(row.key).read_bytes().splitlines()]


def claimed(kit: Kit) -> work.Claim:
    found = kit.commit(
        lambda session: work.claim(
            session, worker="w", kinds=["requests"], lease_seconds=60, overdue=False
        )
    )
    assert found is not None
    return found


def test_what_no_model_answers_is_an_error_a_line(kit: Kit) -> None:
    batch_id = begun(kit, 150)
    with training(kit):
        row = ended(kit, batch_id)
    assert (row.status, row.total, row.completed, row.failed) == ("completed", 150, 0, 150)
    assert row.output_file_id is None
    found = lines(kit, row.error_file_id)
    assert [one["custom_id"] for one in found] == [str(n) for n in range(150)]


def test_a_piece_that_cannot_be_asked_is_told_and_the_rest_goes_on(kit: Kit) -> None:
    batch_id = begun(kit, 100)
    pieces = [
        {"start": 0, "offset": 0, "count": 64},
        {"start": 64, "offset": 0, "count": 36},
    ]
    first = claimed(kit)
    kit.commit(lambda session: request_batches.start(session, first, pieces, 100))
    broken = claimed(kit)
    kit.commit(lambda session: conclude(session, broken, HeadstartError("internal", "boom")))
    row = row_of(kit, batch_id)
    assert (row.status, row.failed, row.pieces) == ("in_progress", 64, 1)
    assert row.errors is not None
    assert row.errors[0]["message"] == "requests 1 to 64: boom"


def test_a_predictor_that_is_away_costs_nothing_but_time(kit: Kit) -> None:
    batch_id = begun(kit, 3)
    claim = claimed(kit)
    away = HeadstartError("predictor_unavailable", "the predictor cannot be reached")
    kit.commit(lambda session: conclude(session, claim, away))
    with training(kit):
        waiting = kit.read(
            lambda session: session.scalars(select(WorkRow).where(WorkRow.id == claim.id)).one()
        )
        assert (waiting.state, waiting.errors) == ("queued", 0)
        kit.commit(lambda session: session.execute(update(WorkRow).values(not_before=0.0)))
        assert ended(kit, batch_id).status == "completed"


def answered(kit: Kit, batch_id: str) -> str:
    """Have the batch's only piece answered; the key of what was answered."""
    first = claimed(kit)
    pieces = [{"start": 0, "offset": 0, "count": 3}]
    kit.commit(lambda session: request_batches.start(session, first, pieces, 3))
    asked = claimed(kit)
    key = storage_keys.piece("acme", asked.id, kind="answers", fence=asked.fence)
    put(kit, key, b"{}\n" * 3)
    piece = Piece(start=0, answers=key, errors=None, completed=3, failed=0)
    kit.commit(lambda session: request_batches.finish_piece(session, asked, piece))
    assert row_of(kit, batch_id).status == "finalizing"
    return key


def test_a_full_disk_loses_nothing_that_was_answered(kit: Kit) -> None:
    batch_id = begun(kit, 3)
    key = answered(kit, batch_id)
    write = claimed(kit)
    full = HeadstartError("storage_full", "no room")
    kit.commit(lambda session: conclude(session, write, full))
    row = row_of(kit, batch_id)
    waits = kit.read(lambda session: request_batches.waits(session, [row], organisation_id="acme"))
    assert (row.status, waits) == (
        "finalizing",
        {batch_id: {"code": "storage_full", "message": "no room"}},
    )
    kit.commit(lambda session: session.execute(update(WorkRow).values(not_before=0.0)))
    with training(kit):
        found = ended(kit, batch_id)
    assert (found.status, lines(kit, found.output_file_id)) == ("completed", [{}] * 3)
    assert key not in kit.storage.keys("requests")


def test_what_a_batch_has_stored_goes_where_it_fails_for_good(kit: Kit) -> None:
    batch_id = begun(kit, 3)
    key = answered(kit, batch_id)
    assert kit.storage.fetch(key).read_bytes()
    write = claimed(kit)
    day = {"code": "storage_full", "message": "no room", "times": 24 * 60}
    kit.commit(
        lambda session: conclude(
            session, replace(write, error=day), HeadstartError("storage_full", "no room")
        )
    )
    assert row_of(kit, batch_id).status == "failed"
    erasure.finish(kit.sessions, kit.storage, "acme")
    with pytest.raises(MissingError):
        kit.storage.fetch(key)


def test_what_is_answered_is_written_before_other_batches_are_asked(kit: Kit) -> None:
    small, large = begun(kit, 3), begun(kit, 3, "file-2")
    assert [row_of(kit, one).status for one in (small, large)] == ["validating"] * 2
    one, other = claimed(kit), claimed(kit)
    pieces = [{"start": at, "offset": 0, "count": 1} for at in range(3)]
    kit.commit(lambda session: request_batches.start(session, one, pieces[:1], 1))
    kit.commit(lambda session: request_batches.start(session, other, pieces, 3))
    asked = claimed(kit)
    piece = Piece(start=0, answers=None, errors=None, completed=1, failed=0)
    kit.commit(lambda session: request_batches.finish_piece(session, asked, piece))
    following = claimed(kit)
    assert (following.payload["step"], following.payload["batch"]) == ("write", small)
