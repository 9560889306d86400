"""A piece of a batch of requests is passed by others' work, cancelled and cut off, and loses
nothing that was answered.
"""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from app.core.errors import HeadstartError
from app.core.messages import Call
from app.infra import storage_keys
from app.infra.orm import RequestBatchRow, WorkRow
from app.infra.repositories import references, work
from app.infra.repositories.openai import files, request_batches
from app.infra.repositories.openai.files import NewFile
from app.infra.repositories.openai.request_batches import PlannedRequests
from tests.worker_kit import Kit, organisation, put
from worker.trainer.attempt import Attempt
from worker.trainer.context import Context
from worker.trainer.kinds import KINDS, requests
from worker.trainer.lease import Lease
from worker.trainer.requests import asking

pytestmark = pytest.mark.slow
URL = "/v1/embeddings"
LONG = "x" * 1900
"""Four of them are asked at once."""


def numbers(call: Call) -> list[dict[str, Any]]:
    """Each text's own number, as an embedding of one dimension."""
    told = [struct.pack("<f", float(bytes(one.data).split()[0])) for one in call.inputs]
    return [{"index": 0, "embedding": b64encode(one).decode()} for one in told]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Calls that were answered: each text by its own number."""
    told: list[Call] = []

    async def answer(_attempt: Attempt, call: Call) -> list[dict[str, Any]]:
        told.append(call)
        return numbers(call)

    monkeypatch.setattr("worker.trainer.requests.asking._predicted", answer)
    return told


def begun(kit: Kit, bodies: list[Any]) -> str:
    """A batch whose file was read: one piece."""
    org = organisation(kit)
    told = {"method": "POST", "url": URL}
    lines = [
        json.dumps({**told, "custom_id": str(n), "body": body}) for n, body in enumerate(bodies)
    ]
    data = "\n\n".join(lines).encode()
    key = storage_keys.file(org, "file-1")
    put(kit, key, data)
    new = NewFile(id="file-1", purpose="batch", filename="x", bytes=len(data), sha256="0", key=key)
    planned = PlannedRequests(endpoint=URL, input_file_id="file-1")
    kit.commit(lambda session: files.create(session, new, organisation_id=org))
    return kit.commit(
        lambda session: request_batches.create(session, planned, organisation_id=org).id
    )


def turn(kit: Kit, context: Context) -> bool:
    """One claim and one try, as the loop has them; False where nothing is to be done."""
    claim = kit.commit(
        lambda session: work.claim(session, worker="w", kinds=["requests"], lease_seconds=60)
    )
    if claim is None:
        return False
    if kit.commit(lambda session: request_batches.begin(session, claim)):
        lease = Lease(kit.sessions, claim, kit.settings, lambda: None)
        requests.run(Attempt(context, claim, lease, makes_way_to=KINDS))
    else:
        kit.commit(lambda session: work.finish(session, claim, "cancelled"))
    return True


def others_work(kit: Kit) -> None:
    organisation(kit, "bolt")
    kit.commit(lambda session: work.add(session, "embed", organisation_id="bolt", payload={}))


def embedding(*numbers: int, long: bool = False) -> dict[str, Any]:
    texts = [f"{number} {LONG if long else 'few'}" for number in numbers]
    return {"model": "multilingual-e5-small", "input": texts}


def batch(kit: Kit, batch_id: str) -> RequestBatchRow:
    return kit.read(lambda session: session.get_one(RequestBatchRow, batch_id))


def answers(kit: Kit, batch_id: str) -> dict[str, list[float]]:
    """By custom_id, in the output's order, the numbers that came back."""
    output = batch(kit, batch_id).output_file_id
    row = kit.read(lambda session: files.find(session, str(output), organisation_id="acme"))
    assert row is not None
    lines = [json.loads(one) for one in kit.storage.fetch(row.key).read_bytes().splitlines()]
    for one in lines:
        data = one["response"]["body"]["data"]
        assert [item["index"] for item in data] == list(range(len(data)))
    return {
        one["custom_id"]: [item["embedding"][0] for item in one["response"]["body"]["data"]]
        for one in lines
    }


def piece(kit: Kit) -> WorkRow:
    """The one that is to go on."""
    waiting = select(WorkRow).where(WorkRow.kind == "requests", WorkRow.state == "queued")
    return kit.read(lambda session: session.scalars(waiting).one())


@pytest.mark.parametrize("passed", [True, False])
def test_others_work_passes_between_two_calls_and_nothing_is_asked_twice(
    kit: Kit, context: Context, calls: list[Call], *, passed: bool
) -> None:
    bodies = [embedding(n) for n in range(40)] + [embedding(*range(40, 50), long=True)]
    bodies += [embedding(50, 51)]
    batch_id = begun(kit, bodies)
    turn(kit, context)
    if passed:
        others_work(kit)
    turns = []
    while turn(kit, context):
        turns.append(len(calls))
    assert turns == ([1, 2, 3, 4, 5, 6, 6] if passed else [6, 6])
    assert batch(kit, batch_id).status == "completed"
    assert (batch(kit, batch_id).completed, batch(kit, batch_id).failed) == (42, 0)
    wanted = {str(n): [float(n)] for n in range(40)}
    wanted |= {"40": [float(n) for n in range(40, 50)], "41": [50.0, 51.0]}
    found = answers(kit, batch_id)
    assert list(found.items()) == list(wanted.items())
    assert sum(len(call.inputs) for call in calls) == 52


def test_what_is_begun_is_kept_while_the_work_goes_on_and_no_longer(
    kit: Kit, context: Context, calls: list[Call]
) -> None:
    begun(kit, [embedding(*range(10), long=True)])
    turn(kit, context)
    others_work(kit)
    turn(kit, context)
    first = piece(kit).payload["begun"]
    assert kit.read(lambda session: references.is_needed(session, first))
    assert first in kit.read(references.named)
    turn(kit, context)
    with pytest.raises(FileNotFoundError):
        kit.storage.fetch(first)
    assert not kit.read(lambda session: references.is_needed(session, first))
    second = piece(kit).payload["begun"]
    kit.storage.delete(second)
    while turn(kit, context):
        pass
    assert sum(len(call.inputs) for call in calls) == 8 + 10
    assert not kit.read(lambda session: references.is_needed(session, second))


def test_what_is_begun_goes_on_only_where_it_is_the_same_that_answers(
    kit: Kit, context: Context, calls: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = begun(kit, [embedding(*range(6), long=True)])
    turn(kit, context)
    others_work(kit)
    turn(kit, context)
    monkeypatch.setattr("worker.trainer.requests.asking._TIMEOUT", 121.0)
    while turn(kit, context):
        pass
    assert [len(call.inputs) for call in calls] == [4, 4, 2]
    assert answers(kit, batch_id) == {"0": [float(n) for n in range(6)]}


def test_a_cancel_is_obeyed_between_two_calls_and_keeps_what_is_answered(
    kit: Kit, context: Context, calls: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = [embedding(n, n + 100, n + 200, long=True) for n in range(8)]
    batch_id = begun(kit, bodies)
    turn(kit, context)

    def cancelled(attempt: Attempt) -> bool:
        if len(calls) == 3:
            attempt.context.commit(
                lambda session: request_batches.cancel(session, batch_id, organisation_id="acme")
            )
        return False

    monkeypatch.setattr(Attempt, "is_passed", cancelled)
    while turn(kit, context):
        pass
    row = batch(kit, batch_id)
    assert (row.status, row.completed, len(calls)) == ("cancelled", 3, 3)
    assert [*answers(kit, batch_id)] == ["0", "1", "2"]


@pytest.mark.parametrize("code", ["deadline_exceeded", "predictor_unavailable", "overloaded"])
def test_what_was_answered_before_a_predictor_went_away_is_kept(
    kit: Kit, context: Context, monkeypatch: pytest.MonkeyPatch, calls: list[Call], code: str
) -> None:
    batch_id = begun(kit, [embedding(*range(10), long=True)])
    turn(kit, context)
    with monkeypatch.context() as away:
        away.setattr("worker.trainer.requests.asking._predicted", going(calls, code))
        turn(kit, context)
        with pytest.raises(HeadstartError, match="away"):
            turn(kit, context)
    kit.commit(lambda session: work.give_back(session, running(kit)))
    while turn(kit, context):
        pass
    assert answers(kit, batch_id) == {"0": [float(n) for n in range(10)]}
    assert sum(len(call.inputs) for call in calls) == 10


def going(calls: list[Call], code: str) -> Callable[..., Any]:
    """A predictor that answers one call, and then goes away."""

    async def answer(_attempt: Attempt, call: Call) -> list[dict[str, Any]]:
        if calls:
            raise HeadstartError(code, "away")
        calls.append(call)
        return numbers(call)

    return answer


def running(kit: Kit) -> work.Claim:
    row = kit.read(
        lambda session: session.scalars(select(WorkRow).where(WorkRow.state == "running")).one()
    )
    return work._claim_of(row)


def test_a_long_request_that_is_wrong_is_one_error_and_the_rest_is_answered(
    kit: Kit, context: Context, calls: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = [embedding(*range(10), long=True), embedding(11), {"model": "none", "input": ["1"]}]
    batch_id = begun(kit, bodies)
    turn(kit, context)

    async def refuse(attempt: Attempt, call: Call) -> list[dict[str, Any]]:
        if len(call.inputs) == 2:
            raise HeadstartError("invalid_request", "the last part is wrong")
        return await good(attempt, call)

    good = asking._predicted
    monkeypatch.setattr("worker.trainer.requests.asking._predicted", refuse)
    while turn(kit, context):
        pass
    row = batch(kit, batch_id)
    assert (row.status, row.completed, row.failed) == ("completed", 1, 2)
    assert answers(kit, batch_id) == {"1": [11.0]}


def test_after_a_while_what_is_answered_is_kept_whoever_waits(
    kit: Kit, context: Context, calls: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.trainer.requests.asking._KEEP_SECONDS", -1.0)
    batch_id = begun(kit, [embedding(n, n + 100, n + 200, long=True) for n in range(3)])
    turn(kit, context)
    turn(kit, context)
    assert (batch(kit, batch_id).completed, batch(kit, batch_id).status) == (1, "in_progress")
    while turn(kit, context):
        pass
    assert [*answers(kit, batch_id)] == ["0", "1", "2"]
