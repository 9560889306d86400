"""A batch of requests: read its file, ask a piece of it, write what was answered."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.openai.requests import BatchedRequest, answer_line, error_line, expired_line
from app.infra import erasure, storage_keys
from app.infra.database import now
from app.infra.orm import FileRow, RequestBatchRow
from app.infra.repositories import holds
from app.infra.repositories.openai import files, request_batches
from app.infra.repositories.openai.files import NewFile
from app.infra.repositories.openai.request_batches import Piece
from app.infra.repositories.work import Claim, LostClaimError
from app.infra.storage import scratch, storage_errors
from worker.trainer.attempt import Attempt
from worker.trainer.requests import asking, begun, reading

_STEP = 2**20


def run(attempt: Attempt) -> None:
    """Do the claim's step."""
    _STEPS[attempt.claim.payload["step"]](attempt)


def _read(attempt: Attempt) -> None:
    """Check the whole file, and queue its pieces; or refuse it with all that is wrong."""
    row, path = _batch(attempt), _input(attempt)
    longest = attempt.context.settings.max_request_bytes
    plan = reading.plan(path, endpoint=row.endpoint, longest=longest)

    def conclude(session: Session) -> None:
        if plan.faults:
            told = [fault.stored() for fault in plan.faults]
            request_batches.fail(session, attempt.claim, told)
        else:
            request_batches.start(session, attempt.claim, plan.pieces, plan.total)

    attempt.commit(conclude)


def _ask(attempt: Attempt) -> None:
    """Ask one piece, and keep what came of it; what is too late by now is not asked."""
    row, payload, path = _batch(attempt), attempt.claim.payload, _input(attempt)
    asked = reading.requests(
        path, endpoint=row.endpoint, offset=payload["offset"], count=payload["count"]
    )
    before = begun.load(attempt)
    with scratch(attempt.staging) as folder:
        lines = _Lines(folder)
        left: dict[str, Any] = {}
        if late := attempt.read(now) > row.expires_at:
            lines.errors = [expired_line(request) for request in asked]
        else:
            made = asking.ask(attempt, asked, endpoint=row.endpoint, begun=before)
            lines.take(asked, made.outcomes)
            left = _left(attempt, path, made, folder)
        piece = lines.piece(attempt, late=late)
    attempt.commit(lambda session: _keep(session, attempt.claim, piece, left))
    erasure.delete(attempt.context.storage, [payload["begun"]] if payload.get("begun") else [])


def _left(
    attempt: Attempt, path: Path, made: asking.PieceAnswers, folder: Path
) -> dict[str, int | str | None]:
    """What of a piece was not answered, as the payload of who goes on; empty where all was."""
    payload, done = attempt.claim.payload, len(made.outcomes)
    if done == payload["count"]:
        return {}
    return {
        "start": payload["start"] + done,
        "offset": reading.after(path, offset=payload["offset"], number=done),
        "count": payload["count"] - done,
        "begun": begun.stored(attempt, made.begun, folder),
    }


def _keep(session: Session, claim: Claim, piece: Piece, left: Mapping[str, Any]) -> None:
    if left:
        request_batches.keep_piece(session, claim, piece, left)
    else:
        request_batches.finish_piece(session, claim, piece)


class _Lines:
    """What a piece adds to the output file and to the error file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.answers: list[bytes] = []
        self.errors: list[bytes] = []

    def take(self, asked: Sequence[BatchedRequest], outcomes: Sequence[asking.Outcome]) -> None:
        """What became of the first ones."""
        for request, outcome in zip(asked, outcomes, strict=False):
            if isinstance(outcome, HeadstartError):
                self.errors.append(error_line(request, outcome))
            else:
                self.answers.append(answer_line(request, outcome))

    def piece(self, attempt: Attempt, *, late: bool) -> Piece:
        """Store the lines."""
        return Piece(
            start=attempt.claim.payload["start"],
            answers=self._stored(attempt, "answers"),
            errors=self._stored(attempt, "errors"),
            completed=len(self.answers),
            failed=len(self.errors),
            lapsed=len(self.errors) if late else 0,
        )

    def _stored(self, attempt: Attempt, kind: str) -> str | None:
        """The key of the lines of a kind; None where there are none."""
        lines: list[bytes] = getattr(self, kind)
        if not lines:
            return None
        claim = attempt.claim
        key = storage_keys.piece(claim.organisation_id, claim.id, kind=kind, fence=claim.fence)
        path = self._folder / kind
        with storage_errors():
            path.write_bytes(b"".join(lines))
        attempt.outbox.put(key, path)
        return key


def _write(attempt: Attempt) -> None:
    """Put the pieces together as the batch's files, and end it."""
    row = _batch(attempt)
    pieces = attempt.read(lambda session: request_batches.pieces(session, row.id))
    keys = {
        "output": [one.answers for one in pieces if one.answers],
        "error": [one.errors for one in pieces if one.errors],
    }
    with scratch(attempt.staging) as folder:
        made = {
            kind: _joined(attempt, row, some, kind=kind, folder=folder)
            for kind, some in keys.items()
            if some
        }
        attempt.commit(lambda session: holds.take(session, [one.key for one in made.values()]))
        _put(attempt, made, folder)
        left = attempt.commit(lambda session: _conclude(session, attempt.claim, made))
    erasure.delete(attempt.context.storage, left)


def _put(attempt: Attempt, made: Mapping[str, NewFile], folder: Path) -> None:
    """Store all of the files, or none: each try would take more of a disk that is full."""
    storage = attempt.context.storage
    try:
        for kind, file in made.items():
            storage.put(file.key, folder / kind)
    except HeadstartError:
        erasure.delete(storage, [file.key for file in made.values()])
        raise


def _joined(
    attempt: Attempt, row: RequestBatchRow, keys: Sequence[str], *, kind: str, folder: Path
) -> NewFile:
    """The contents of `keys` one after the other, as a file `kind` in `folder`."""
    digest, size = hashlib.sha256(), 0
    with storage_errors(), (folder / kind).open("wb") as out:
        for key in keys:
            data = attempt.context.storage.fetch(key).read_bytes()
            digest.update(data)
            size += out.write(data)
            attempt.guard()
    file_id = new_id(files.PREFIX)
    return NewFile(
        id=file_id,
        purpose="batch_output",
        filename=f"{row.id}_{kind}.jsonl",
        bytes=size,
        sha256=digest.hexdigest(),
        key=storage_keys.file(row.organisation_id, file_id),
        expires_after=row.output_seconds,
    )


def _conclude(session: Session, claim: Claim, made: dict[str, NewFile]) -> list[str]:
    """The files' rows and the batch's end, together; what is not needed any more."""
    for file in made.values():
        files.create(session, file, organisation_id=claim.organisation_id)
    holds.release(session, [file.key for file in made.values()])
    ids = {kind: file.id for kind, file in made.items()}
    return request_batches.conclude(
        session, claim, answers=ids.get("output"), errors=ids.get("error")
    )


_STEPS = {"read": _read, "ask": _ask, "write": _write}


def _batch(attempt: Attempt) -> RequestBatchRow:
    claim = attempt.claim
    return attempt.read(
        lambda session: request_batches.get(
            session, claim.payload["batch"], organisation_id=claim.organisation_id
        )
    )


def _input(attempt: Attempt) -> Path:
    """The batch's file, which cannot be deleted before the batch has ended; but it may expire."""
    claim = attempt.claim

    def find(session: Session) -> FileRow | None:
        row = request_batches.get(
            session, claim.payload["batch"], organisation_id=claim.organisation_id
        )
        return files.find(session, row.input_file_id, organisation_id=claim.organisation_id)

    row = attempt.read(find)
    if row is None:
        raise LostClaimError(claim.id)
    return attempt.context.storage.fetch(row.key)


def fail(session: Session, claim: Claim, error: HeadstartError) -> None:
    """A piece that cannot be asked counts as failed, and the batch says so; else it is over."""
    fault: dict[str, Any] = {**error.stored(), "line": None}
    if claim.payload["step"] == "ask":
        request_batches.give_up_piece(session, claim, fault)
    else:
        request_batches.fail(session, claim, [fault])
