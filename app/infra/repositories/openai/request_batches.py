"""Batches of requests: their rows, their pieces of work, and where the answers lie.

A piece of work locks its own row first (its claim), then the batch's; a cancel locks the batch's
alone, and what is still queued finds out when it is claimed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.infra.database import now
from app.infra.orm import RequestBatchRow, RequestPieceRow, WorkRow
from app.infra.repositories import deletions, work
from app.infra.repositories.batches import PRIORITY, put_off
from app.infra.repositories.openai import files
from app.infra.repositories.work import Claim

PREFIX = "batch_req_"
KIND = "requests"
WINDOW_SECONDS = 86_400.0
WRITE_PRIORITY = 1
"""What was answered is handed out before other batches' pieces are asked: it takes a moment."""
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_ASKING = frozenset({"validating", "in_progress"})


@dataclass(frozen=True, kw_only=True)
class PlannedRequests:
    """A batch as it is asked for; `output_seconds` is what its files live."""

    endpoint: str
    input_file_id: str
    metadata: dict[str, str] | None = None
    output_seconds: int | None = None


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What became of requests from number `start` on; of those failed, `lapsed` came too late."""

    start: int
    answers: str | None
    errors: str | None
    completed: int
    failed: int
    lapsed: int = 0


def create(session: Session, new: PlannedRequests, *, organisation_id: str) -> RequestBatchRow:
    """A batch, and the work that reads its file. Raises not_found, invalid_request."""
    _check_input(session, new.input_file_id, organisation_id=organisation_id)
    at = now(session)
    row = RequestBatchRow(
        id=new_id(PREFIX),
        organisation_id=organisation_id,
        endpoint=new.endpoint,
        input_file_id=new.input_file_id,
        status="validating",
        batch_metadata=new.metadata,
        output_seconds=new.output_seconds,
        moments={},
        created_at=at,
        expires_at=at + WINDOW_SECONDS,
    )
    session.add(row)
    _queue(session, row, {"step": "read"})
    session.flush()
    return row


def _check_input(session: Session, file_id: str, *, organisation_id: str) -> None:
    row = files.lock(session, file_id, organisation_id=organisation_id)
    if row is None:
        raise HeadstartError("not_found", "there is no such file", param="input_file_id")
    if row.purpose != "batch":
        why = f"input_file_id: it is of purpose {row.purpose}, not batch"
        raise HeadstartError("invalid_request", why, param="input_file_id")


def _queue(
    session: Session, row: RequestBatchRow, payload: Mapping[str, Any], *, priority: int = PRIORITY
) -> WorkRow:
    return work.add(
        session,
        KIND,
        organisation_id=row.organisation_id,
        priority=priority,
        payload={"batch": row.id, **payload},
    )


def _queue_writing(session: Session, row: RequestBatchRow) -> None:
    """It is as old as its batch, so that it passes pieces that are overdue, too: those are as
    urgent as anything, and the oldest of them goes first.
    """
    _queue(session, row, {"step": "write"}, priority=WRITE_PRIORITY).created_at = row.created_at


def get(session: Session, batch_id: str, *, organisation_id: str) -> RequestBatchRow:
    """One batch as it is now. Raises not_found."""
    one = select(RequestBatchRow).where(
        RequestBatchRow.id == batch_id, RequestBatchRow.organisation_id == organisation_id
    )
    row = session.execute(one, execution_options={"populate_existing": True}).scalar()
    if row is None:
        raise HeadstartError("not_found", "there is no such batch", param="batch_id")
    return row


def lock(session: Session, batch_id: str, *, organisation_id: str) -> RequestBatchRow:
    """The same, locked until the transaction ends."""
    one = select(RequestBatchRow.id).where(
        RequestBatchRow.id == batch_id, RequestBatchRow.organisation_id == organisation_id
    )
    session.execute(one.with_for_update()).all()
    return get(session, batch_id, organisation_id=organisation_id)


def of_claim(session: Session, claim: Claim) -> RequestBatchRow:
    """The claim's batch, locked."""
    batch_id = str(claim.payload["batch"])
    return lock(session, batch_id, organisation_id=claim.organisation_id)


def listing(
    session: Session, *, organisation_id: str, after: str | None, limit: int
) -> list[RequestBatchRow]:
    """At most `limit` batches, newest first, those older than `after`."""
    statement = select(RequestBatchRow).where(RequestBatchRow.organisation_id == organisation_id)
    if after is not None:
        statement = statement.where(RequestBatchRow.id < after)
    return list(session.scalars(statement.order_by(RequestBatchRow.id.desc()).limit(limit)))


def waits(
    session: Session, rows: Sequence[RequestBatchRow], *, organisation_id: str
) -> dict[str, dict[str, Any]]:
    """What keeps each of the batches waiting, if anything does: `{code, message}` by id."""
    ids = [row.id for row in rows if row.status not in ENDED]
    owner = WorkRow.payload["batch"].as_string()
    return put_off(session, owner, ids, organisation_id=organisation_id)


def begin(session: Session, claim: Claim) -> bool:
    """Whether a claimed piece is still wanted; if not, the batch is the nearer to its end."""
    row = of_claim(session, claim)
    if claim.payload["step"] == "write":
        return row.status in ("finalizing", "cancelling")
    if row.status in _ASKING:
        return True
    if row.status == "cancelling":
        _count_down(session, row)
    return False


def start(session: Session, claim: Claim, pieces: Sequence[Mapping[str, Any]], total: int) -> None:
    """The file was read, and is asked in these pieces. Raises LostClaimError."""
    work.finish(session, claim)
    row = of_claim(session, claim)
    row.total, row.pieces = total, len(pieces)
    if row.status == "cancelling":
        row.pieces = 0
        _queue_writing(session, row)
        return
    _advance(session, row, "in_progress")
    for piece in pieces:
        _queue(session, row, {"step": "ask", **piece})


def finish_piece(session: Session, claim: Claim, piece: Piece) -> None:
    """Everything a piece changes; after the last the files are written. Raises LostClaimError."""
    work.finish(session, claim)
    row = of_claim(session, claim)
    _add(session, row, piece)
    _count_down(session, row)


def keep_piece(session: Session, claim: Claim, piece: Piece, left: Mapping[str, Any]) -> None:
    """The same of what is answered so far: what is `left` of the piece is asked later, unless its
    batch is cancelled. Raises LostClaimError.
    """
    work.forgive(session, claim)
    row = of_claim(session, claim)
    if piece.completed or piece.failed:
        _add(session, row, piece)
    if row.status == "cancelling":
        work.finish(session, claim, "cancelled")
        _count_down(session, row)
        return
    work.give_back(session, claim, payload={**claim.payload, **left})


def is_cancelled(session: Session, claim: Claim) -> bool:
    """Whether what is left of a claimed piece is not wanted any more."""
    status = select(RequestBatchRow.status).where(
        RequestBatchRow.id == str(claim.payload["batch"]),
        RequestBatchRow.organisation_id == claim.organisation_id,
    )
    return session.scalars(status).first() not in _ASKING


def begun(session: Session, work_id: str | None = None) -> set[str]:
    """The keys of what pieces that are to go on, or this one alone, have of a request in part."""
    wanted = [WorkRow.kind == KIND, WorkRow.state.in_(["queued", "running"])]
    if work_id is not None:
        wanted.append(WorkRow.id == work_id)
    payloads = session.scalars(select(WorkRow.payload).where(*wanted))
    return {payload["begun"] for payload in payloads if payload.get("begun")}


def _add(session: Session, row: RequestBatchRow, piece: Piece) -> None:
    session.add(
        RequestPieceRow(
            batch_id=row.id, start=piece.start, answers=piece.answers, errors=piece.errors
        )
    )
    row.completed += piece.completed
    row.failed += piece.failed
    row.lapsed += piece.lapsed


def give_up_piece(session: Session, claim: Claim, fault: Mapping[str, Any]) -> None:
    """A piece cannot be asked: its requests have failed, and the batch's errors say why."""
    work.finish(session, claim, "failed")
    row = of_claim(session, claim)
    first, count = claim.payload["start"], int(claim.payload["count"])
    why = f"requests {first + 1} to {first + count}: {fault['message']}"
    row.errors = [*(row.errors or []), {**fault, "message": why}]
    row.failed += count
    _count_down(session, row)


def _count_down(session: Session, row: RequestBatchRow) -> None:
    row.pieces -= 1
    if row.pieces <= 0:
        if row.status == "in_progress":
            _advance(session, row, "finalizing")
        _queue_writing(session, row)


def conclude(
    session: Session, claim: Claim, *, answers: str | None, errors: str | None
) -> list[str]:
    """End a batch whose files' rows are there; the keys of its pieces, which are forgotten.

    Raises LostClaimError.
    """
    work.finish(session, claim)
    row = of_claim(session, claim)
    row.output_file_id, row.error_file_id = answers, errors
    cancelled = row.status == "cancelling"
    _advance(session, row, "cancelled" if cancelled else "expired" if row.lapsed else "completed")
    return _forget(session, row)


def _forget(session: Session, row: RequestBatchRow) -> list[str]:
    """Drop the rows of a batch's pieces; the keys that they had."""
    found = pieces(session, row.id)
    session.execute(delete(RequestPieceRow).where(RequestPieceRow.batch_id == row.id))
    return [key for one in found for key in (one.answers, one.errors) if key]


def pieces(session: Session, batch_id: str) -> list[RequestPieceRow]:
    """What was answered so far, in the requests' order."""
    statement = select(RequestPieceRow).where(RequestPieceRow.batch_id == batch_id)
    return list(session.scalars(statement.order_by(RequestPieceRow.start)))


def fail(session: Session, claim: Claim, errors: Sequence[Mapping[str, Any]]) -> None:
    """The batch cannot go on; what its pieces have stored is to go. Raises LostClaimError."""
    work.finish(session, claim, "failed")
    row = of_claim(session, claim)
    row.errors = [dict(error) for error in errors]
    if row.status not in ENDED:
        _advance(session, row, "failed")
    deletions.note_files(session, _forget(session, row), organisation_id=row.organisation_id)


def cancel(session: Session, batch_id: str, *, organisation_id: str) -> RequestBatchRow:
    """Ask no more; what was answered by then is written. Raises not_found, invalid_transition."""
    row = lock(session, batch_id, organisation_id=organisation_id)
    if row.status in ENDED:
        why = f"a batch that is {row.status} cannot be cancelled"
        raise HeadstartError("invalid_transition", why, param="status")
    if row.status != "cancelling":
        row.pieces = max(row.pieces, 1) if row.status == "validating" else row.pieces
        _advance(session, row, "cancelling")
    session.flush()
    return row


def refuse_if_used(session: Session, file_id: str, *, organisation_id: str) -> None:
    """Raise in_use while a batch that has not ended reads this file."""
    open_batches = select(RequestBatchRow.id).where(
        RequestBatchRow.organisation_id == organisation_id,
        RequestBatchRow.input_file_id == file_id,
        RequestBatchRow.status.not_in(ENDED),
    )
    batch = session.scalars(open_batches.limit(1)).first()
    if batch is not None:
        raise HeadstartError("in_use", f"the batch {batch} has not ended and needs this")


def _advance(session: Session, row: RequestBatchRow, to: str) -> None:
    row.status = to
    row.moments = {**row.moments, to: now(session)}
