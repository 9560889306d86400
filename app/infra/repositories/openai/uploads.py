"""Uploads in parts, and the parts that came; a part counts towards the room when it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.infra.database import now
from app.infra.orm import UploadPartRow, UploadRow

PREFIX, PART_PREFIX = "upload_", "part_"
KEPT_SECONDS = 86_400.0
"""What a pending upload is kept for."""


@dataclass(frozen=True, kw_only=True)
class PlannedUpload:
    """An upload as it is announced."""

    filename: str
    bytes: int
    purpose: str
    form: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class NewPart:
    """A part whose content is in storage under `key`."""

    id: str
    bytes: int
    sha256: str
    key: str


def create(session: Session, new: PlannedUpload, *, organisation_id: str) -> UploadRow:
    """A pending upload."""
    at = now(session)
    row = UploadRow(
        id=new_id(PREFIX),
        organisation_id=organisation_id,
        status="pending",
        filename=new.filename,
        bytes=new.bytes,
        purpose=new.purpose,
        form=new.form,
        created_at=at,
        expires_at=at + KEPT_SECONDS,
    )
    session.add(row)
    session.flush()
    return row


def get(session: Session, upload_id: str, *, organisation_id: str) -> UploadRow:
    """One upload as it is now. Raises not_found."""
    one = select(UploadRow).where(
        UploadRow.id == upload_id, UploadRow.organisation_id == organisation_id
    )
    row = session.execute(one, execution_options={"populate_existing": True}).scalar()
    if row is None:
        raise missing()
    return row


def state(session: Session, row: UploadRow) -> str:
    """Its status; `expired` as soon as its time is over, whether that was noted or not."""
    over = row.status == "pending" and row.expires_at < now(session)
    return "expired" if over else row.status


def lock(session: Session, upload_id: str, *, organisation_id: str) -> UploadRow:
    """The same, locked until the transaction ends."""
    one = select(UploadRow.id).where(
        UploadRow.id == upload_id, UploadRow.organisation_id == organisation_id
    )
    session.execute(one.with_for_update()).all()
    return get(session, upload_id, organisation_id=organisation_id)


def require_pending(session: Session, row: UploadRow) -> None:
    """Raise invalid_transition unless parts may still come."""
    told = state(session, row)
    if told != "pending":
        why = f"the upload is {told}: create another one"
        raise HeadstartError("invalid_transition", why, param="upload_id")


def add_part(session: Session, upload: UploadRow, new: NewPart, *, room: int) -> UploadPartRow:
    """A part of a locked, pending upload. Raises storage_full beyond the organisation's `room`."""
    held = select(func.coalesce(func.sum(UploadPartRow.bytes), 0)).where(
        UploadPartRow.organisation_id == upload.organisation_id
    )
    if int(session.scalars(held).one()) + new.bytes > room:
        why = f"unfinished uploads may hold {room:,} bytes together: complete or cancel some"
        raise HeadstartError("storage_full", why, retry_after=60)
    row = UploadPartRow(
        id=new.id,
        organisation_id=upload.organisation_id,
        upload_id=upload.id,
        bytes=new.bytes,
        sha256=new.sha256,
        key=new.key,
        created_at=now(session),
    )
    session.add(row)
    session.flush()
    return row


def get_part(session: Session, part_id: str, *, organisation_id: str) -> UploadPartRow:
    """One part. Raises not_found where its upload has ended."""
    one = select(UploadPartRow).where(
        UploadPartRow.id == part_id, UploadPartRow.organisation_id == organisation_id
    )
    row = session.scalars(one).one_or_none()
    if row is None:
        raise HeadstartError("not_found", "the upload has ended, and its parts are gone")
    return row


def parts(
    session: Session,
    upload_id: str,
    *,
    organisation_id: str,
    after: str | None = None,
    limit: int | None = None,
) -> list[UploadPartRow]:
    """The parts that came, oldest first."""
    statement = select(UploadPartRow).where(
        UploadPartRow.upload_id == upload_id, UploadPartRow.organisation_id == organisation_id
    )
    if after is not None:
        statement = statement.where(UploadPartRow.id > after)
    return list(session.scalars(statement.order_by(UploadPartRow.id).limit(limit)))


def end(
    session: Session,
    row: UploadRow,
    status: str,
    *,
    part_ids: Sequence[str] | None = None,
    file_id: str | None = None,
) -> list[str]:
    """End a locked, pending upload; answers the keys of its parts, which are forgotten."""
    row.status, row.file_id = status, file_id
    row.part_ids = None if part_ids is None else list(part_ids)
    session.flush()
    gone = delete(UploadPartRow).where(
        UploadPartRow.upload_id == row.id, UploadPartRow.organisation_id == row.organisation_id
    )
    return list(session.scalars(gone.returning(UploadPartRow.key)))


def expired(session: Session) -> Sequence[tuple[str, str]]:
    """Id and organisation of the uploads that nobody has completed in time."""
    due = select(UploadRow.id, UploadRow.organisation_id).where(
        UploadRow.status == "pending", UploadRow.expires_at < now(session)
    )
    return [(row.id, row.organisation_id) for row in session.execute(due)]


def missing() -> HeadstartError:
    """The same answer for an upload that never was and for somebody else's."""
    return HeadstartError("not_found", "there is no such upload", param="upload_id")
