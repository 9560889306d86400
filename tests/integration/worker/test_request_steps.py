"""Batches of requests when something is away or breaks, on both databases."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.infra import storage_keys
from app.infra.orm import RequestBatchRow, WorkRow
from app.infra.repositories import work
from app.infra.repositories.openai import files, request_batches
from app.infra.repositories.openai.files import NewFile
from app.infra.repositories.openai.request_batches import PlannedRequests
from tests.integration.worker.conftest import training
from tests.worker_kit import Kit, organisation, put
from worker.trainer.endings import conclude

CHAT = "/v1/chat/completions"


def begun(kit: Kit, count: int) -> str:
    org = organisation(kit)
    told = {"method": "POST", "url": CHAT, "body": {"model": "ft:none", "messages": []}}
    data = "\n".join(json.dumps(told | {"custom_id": str(n)}) for n in range(count)).encode()
    key = storage_keys.file(org, "file-1")
    put(kit, key, data)
    new = NewFile(id="file-1", purpose="batch", filename="x", bytes=len(data), sha256="0", key=key)

    def make(session: Session) -> str:
        files.create(session, new, organisation_id=org)
        planned = PlannedRequests(endpoint=CHAT, input_file_id="file-1")
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

    def claimed() -> work.Claim:
        found = kit.commit(
            lambda session: work.claim(
                session, worker="w", kinds=["requests"], lease_seconds=60, overdue=False
            )
        )
        assert found is not None
        return found

    pieces = [
        {"start": 0, "offset": 0, "count": 64},
        {"start": 64, "offset": 0, "count": 36},
    ]
    first = claimed()
    kit.commit(lambda session: request_batches.start(session, first, pieces, 100))
    broken = claimed()
    kit.commit(lambda session: conclude(session, broken, HeadstartError("internal", "boom")))
    row = row_of(kit, batch_id)
    assert (row.status, row.failed, row.pieces) == ("in_progress", 64, 1)
    assert row.errors is not None
    assert row.errors[0]["message"] == "requests 1 to 64: boom"


def test_a_predictor_that_is_away_costs_nothing_but_time(kit: Kit) -> None:
    batch_id = begun(kit, 3)
    claim = kit.commit(
        lambda session: work.claim(
            session, worker="w", kinds=["requests"], lease_seconds=60, overdue=False
        )
    )
    assert claim is not None
    away = HeadstartError("predictor_unavailable", "the predictor cannot be reached")
    kit.commit(lambda session: conclude(session, claim, away))
    with training(kit):
        waiting = kit.read(
            lambda session: session.scalars(select(WorkRow).where(WorkRow.id == claim.id)).one()
        )
        assert (waiting.state, waiting.errors) == ("queued", 0)
        kit.commit(lambda session: session.execute(update(WorkRow).values(not_before=0.0)))
        assert ended(kit, batch_id).status == "completed"
