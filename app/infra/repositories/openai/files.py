"""Plain files: made once, read, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.infra.database import now
from app.infra.orm import FileRow

PREFIX = "file-"


@dataclass(frozen=True, kw_only=True)
class NewFile:
    """A file whose content is in storage under `key`; `expires_after` is in seconds."""

    id: str
    purpose: str
    filename: str
    bytes: int
    sha256: str
    key: str
    expires_after: int | None = None


def create(session: Session, new: NewFile, *, organisation_id: str) -> FileRow:
    """The file's row."""
    at = now(session)
    row = FileRow(
        id=new.id,
        organisation_id=organisation_id,
        purpose=new.purpose,
        filename=new.filename,
        bytes=new.bytes,
        sha256=new.sha256,
        key=new.key,
        created_at=at,
        expires_at=None if new.expires_after is None else at + new.expires_after,
    )
    session.add(row)
    session.flush()
    return row


def find(session: Session, file_id: str, *, organisation_id: str) -> FileRow | None:
    """The organisation's file, if there is such a one."""
    one = select(FileRow).where(FileRow.id == file_id, FileRow.organisation_id == organisation_id)
    return session.scalars(one).one_or_none()


def lock(session: Session, file_id: str, *, organisation_id: str) -> FileRow | None:
    """The same; it cannot be deleted before the transaction ends."""
    one = select(FileRow).where(FileRow.id == file_id, FileRow.organisation_id == organisation_id)
    return session.scalars(one.with_for_update(read=True)).one_or_none()


def listing(
    session: Session,
    *,
    organisation_id: str,
    after: str | None,
    limit: int,
    ascending: bool,
    purpose: str | None,
) -> list[FileRow]:
    """At most `limit` files of the purpose or of all, those behind `after`, an id's own part."""
    statement = select(FileRow).where(FileRow.organisation_id == organisation_id)
    if purpose is not None:
        statement = statement.where(FileRow.purpose == purpose)
    if after is not None:
        beyond = FileRow.id > PREFIX + after if ascending else FileRow.id < PREFIX + after
        statement = statement.where(beyond)
    order = FileRow.id.asc() if ascending else FileRow.id.desc()
    return list(session.scalars(statement.order_by(order).limit(limit)))


def remove(session: Session, file_id: str, *, organisation_id: str) -> str:
    """Forget a file; answers its key in storage. Raises not_found."""
    gone = delete(FileRow).where(FileRow.id == file_id, FileRow.organisation_id == organisation_id)
    key = session.scalars(gone.returning(FileRow.key)).one_or_none()
    if key is None:
        raise missing()
    return key


def expired(session: Session) -> Sequence[tuple[str, str]]:
    """Id and organisation of the files whose time is over."""
    due = select(FileRow.id, FileRow.organisation_id).where(FileRow.expires_at < now(session))
    return [(row.id, row.organisation_id) for row in session.execute(due)]


def missing() -> HeadstartError:
    """The same answer for a file that never was and for somebody else's."""
    return HeadstartError("not_found", "there is no such file", param="file_id")
