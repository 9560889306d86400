"""Files that are kept as they came: the requests of a batch, and what a batch has put out."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.http.dependencies import Services, writing, written
from app.http.pages import looks_like
from app.http.schemas import Deletion
from app.infra import storage_keys
from app.infra.database import reading
from app.infra.orm import FileRow
from app.infra.repositories import deletions, quotas
from app.infra.repositories.deletions import Doomed
from app.infra.repositories.openai import files, request_batches
from app.infra.repositories.openai.files import NewFile
from app.uploads import blobs, deleting
from app.uploads.receipts import Receipt
from app.uploads.streaming import Upload


def keep(
    services: Services,
    upload: Upload,
    *,
    purpose: str,
    expires_after: int | None,
    organisation_id: str,
    receipt: Receipt,
) -> FileRow:
    """A file from a received upload, byte by byte. Blocks. Raises invalid_request for an empty one.

    Raises storage_full, storage_unavailable.
    """
    if not upload.size:
        raise HeadstartError("invalid_request", "file: it is empty", param="file")
    file_id = new_id(files.PREFIX)
    key = storage_keys.file(organisation_id, file_id)
    new = NewFile(
        id=file_id,
        purpose=purpose,
        filename=upload.filename,
        bytes=upload.size,
        sha256=upload.sha256,
        key=key,
        expires_after=expires_after,
    )
    stored = blobs.stored(services, {key: upload.path})

    def step(session: Session) -> FileRow:
        row = files.create(session, new, organisation_id=organisation_id)
        hold.release(session)
        receipt.answer(session, {"file": row.id})
        quotas.check(session, services.settings, organisation_id, "stored_bytes")
        return row

    with stored as hold, receipt.hold():
        return written(services, step)


def find(services: Services, file_id: str, *, organisation_id: str) -> FileRow | None:
    """The organisation's plain file, if that is what the id is of."""
    if not looks_like(file_id, files.PREFIX):
        return None
    with reading(services.sessions) as session:
        return files.find(session, file_id, organisation_id=organisation_id)


def remove(services: Services, file_id: str, *, organisation_id: str) -> Deletion:
    """Delete a file and its content. Raises not_found or in_use."""
    with writing(services) as session:
        request_batches.refuse_if_used(session, file_id, organisation_id=organisation_id)
        key = files.remove(session, file_id, organisation_id=organisation_id)
        doomed = Doomed(object="file", id=file_id, files=[key])
        deletion_id = deletions.begin(session, doomed, organisation_id=organisation_id)
    return deleting.carried_out(services, deletion_id, organisation_id=organisation_id)
