"""Create, fill, complete and cancel an upload. All of it blocks.

A part is in storage before its row says so; the rows of the parts go in the transaction in which
the upload ends, and their files afterwards: what a crash leaves of those, the sweeper collects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.datasets import files_service
from app.datasets.in_parts.schemas import Completion, NewUpload
from app.http.dependencies import Services, writing, written
from app.infra import erasure, storage_keys
from app.infra.database import reading
from app.infra.orm import UploadPartRow, UploadRow
from app.infra.repositories import quotas
from app.infra.repositories.openai import uploads
from app.infra.repositories.openai.uploads import NewPart, PlannedUpload
from app.infra.storage import scratch, staging, storage_errors
from app.uploads import blobs
from app.uploads.form import UploadForm
from app.uploads.incoming import parse_fields
from app.uploads.receipts import Receipt
from app.uploads.streaming import Upload

MOST_PART_BYTES = 64 * 2**20
_STEP = 2**20


def create(session: Session, body: NewUpload, *, organisation_id: str, most: int) -> UploadRow:
    """A pending upload of at most `most` bytes. Raises payload_too_large."""
    if body.bytes > most:
        raise HeadstartError("payload_too_large", f"bytes: the limit is {most:,}", param="bytes")
    new = PlannedUpload(
        filename=body.shown, bytes=body.bytes, purpose=body.purpose, form=body.form()
    )
    return uploads.create(session, new, organisation_id=organisation_id)


def find(services: Services, upload_id: str, *, organisation_id: str) -> tuple[UploadRow, str]:
    """The upload and its state. Raises not_found."""
    with reading(services.sessions) as session:
        row = uploads.get(session, upload_id, organisation_id=organisation_id)
        return row, uploads.state(session, row)


def require_pending(services: Services, upload_id: str, *, organisation_id: str) -> None:
    """Raise not_found or invalid_transition before a part's bytes are read."""
    with reading(services.sessions) as session:
        row = uploads.get(session, upload_id, organisation_id=organisation_id)
        uploads.require_pending(session, row)


def add_part(
    services: Services, upload: Upload, upload_id: str, *, organisation_id: str, receipt: Receipt
) -> UploadPartRow:
    """Store a received part for good. Raises invalid_transition, storage_full."""
    part_id = new_id(uploads.PART_PREFIX)
    key = storage_keys.part(organisation_id, upload_id, part_id)
    new = NewPart(id=part_id, bytes=upload.size, sha256=upload.sha256, key=key)
    room = services.settings.pending_upload_bytes
    stored = blobs.stored(services, {key: upload.path})

    def step(session: Session) -> UploadPartRow:
        row = uploads.lock(session, upload_id, organisation_id=organisation_id)
        uploads.require_pending(session, row)
        part = uploads.add_part(session, row, new, room=room)
        quotas.check(session, services.settings, organisation_id, "stored_bytes")
        hold.release(session)
        receipt.answer(session, {"part": part.id})
        return part

    with stored as hold, receipt.hold():
        return written(services, step)


def cancel(services: Services, upload_id: str, *, organisation_id: str) -> UploadRow:
    """End an upload, and forget its parts. Raises not_found, invalid_transition."""
    with writing(services) as session:
        row = uploads.lock(session, upload_id, organisation_id=organisation_id)
        uploads.require_pending(session, row)
        keys = uploads.end(session, row, "cancelled")
    erasure.delete(services.storage, keys)
    return row


def expire(services: Services, upload_id: str, *, organisation_id: str) -> None:
    """Forget the parts of an upload whose time is over."""
    with writing(services) as session:
        row = uploads.lock(session, upload_id, organisation_id=organisation_id)
        over = row.status == "pending" and uploads.state(session, row) == "expired"
        keys = uploads.end(session, row, "expired") if over else []
    erasure.delete(services.storage, keys)


def complete(
    services: Services, upload_id: str, body: Completion, *, organisation_id: str
) -> UploadRow:
    """Put the parts together and take them in as one file; again with the same parts, the same.

    What cannot be taken in leaves the upload pending. Raises not_found, invalid_transition,
    invalid_request, in_flight, and the codes of bad uploads.
    """
    row, parts = _of_completion(services, upload_id, body, organisation_id)
    if row.status == "completed":
        return row
    ordered = _ordered(row, parts, body.part_ids)
    end = _End(upload_id, body.part_ids, organisation_id)
    with scratch(staging(services.settings)) as folder:
        upload = _joined(services, row, ordered, folder=folder, md5=body.md5)
        form = parse_fields(UploadForm, row.form)
        files_service.take(services, upload, form, organisation_id=organisation_id, receipt=end)
    erasure.delete(services.storage, end.keys)
    return find(services, upload_id, organisation_id=organisation_id)[0]


def _of_completion(
    services: Services, upload_id: str, body: Completion, organisation_id: str
) -> tuple[UploadRow, dict[str, UploadPartRow]]:
    with reading(services.sessions) as session:
        row = uploads.get(session, upload_id, organisation_id=organisation_id)
        if row.status != "completed" or row.part_ids != body.part_ids:
            uploads.require_pending(session, row)
        parts = uploads.parts(session, upload_id, organisation_id=organisation_id)
        return row, {part.id: part for part in parts}


def _ordered(
    row: UploadRow, parts: dict[str, UploadPartRow], wanted: Sequence[str]
) -> list[UploadPartRow]:
    """The wanted parts, which are as large as was announced. Raises invalid_request."""
    for place, part_id in enumerate(wanted):
        if part_id not in parts:
            raise _bad("the upload has no such part", f"part_ids.{place}")
    if len(set(wanted)) < len(wanted):
        raise _bad("a part is named twice", "part_ids")
    size = sum(parts[part_id].bytes for part_id in wanted)
    if size != row.bytes:
        raise _bad(f"these have {size:,} bytes, {row.bytes:,} were announced", "part_ids")
    return [parts[part_id] for part_id in wanted]


def _joined(
    services: Services,
    row: UploadRow,
    parts: Sequence[UploadPartRow],
    *,
    folder: Path,
    md5: str | None,
) -> Upload:
    """The parts as one file in `folder`. Raises invalid_request where it has another `md5`."""
    path, sha256 = folder / "upload", hashlib.sha256()
    told = hashlib.md5(usedforsecurity=False)
    with storage_errors(), path.open("wb") as out:
        for part in parts:
            with _opened(services, part).open("rb") as file:
                while data := file.read(_STEP):
                    sha256.update(data)
                    told.update(data)
                    out.write(data)
    if md5 is not None and md5.lower() != told.hexdigest():
        raise _bad(f"the parts in this order have the MD5 {told.hexdigest()}", "md5")
    return Upload(folder, path, row.filename, sha256.hexdigest(), row.bytes, {})


def _opened(services: Services, part: UploadPartRow) -> Path:
    try:
        return services.storage.fetch(part.key)
    except FileNotFoundError as error:  # the upload has ended meanwhile
        raise _ended_meanwhile() from error


class _End(Receipt):
    """Ends the upload in the transaction that makes its file; `keys` are what is then left over."""

    def __init__(self, upload_id: str, part_ids: Sequence[str], organisation_id: str) -> None:
        super().__init__()
        self._upload_id, self._part_ids = upload_id, part_ids
        self._organisation_id = organisation_id
        self.keys: list[str] = []

    def answer(self, session: Session, made: dict[str, Any]) -> None:
        row = uploads.lock(session, self._upload_id, organisation_id=self._organisation_id)
        if row.status != "pending":  # somebody else was faster, and asking again tells how
            raise _ended_meanwhile()
        file_id = made["file"] if "file" in made else made["dataset"]
        self.keys = uploads.end(session, row, "completed", part_ids=self._part_ids, file_id=file_id)


def _bad(why: str, param: str) -> HeadstartError:
    return HeadstartError("invalid_request", f"{param}: {why}", param=param)


def _ended_meanwhile() -> HeadstartError:
    return HeadstartError(
        "in_flight", "another request has just ended the upload; ask again", retry_after=1
    )
