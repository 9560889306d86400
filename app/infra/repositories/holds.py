"""Holds on packs and manifests: what an upload puts into storage before any row names it.

A hold is committed before its file is put, and goes in the transaction that names the file. No name
is ever given twice, so a file that nothing holds and nothing names will never be named: it may be
deleted at any time, by anybody, without a lock. A hold is ended by whoever took it, by `expire`,
and with all that its organisation has; a commit that does not find its own any more is rolled back.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, or_
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.infra.database import now
from app.infra.orm import HeldBlobRow
from app.infra.repositories import datasets, erasures

SECONDS = 3600.0
"""Longer than any upload is stored for once it is received; by the database's clock."""


def take(session: Session, keys: Sequence[str]) -> None:
    """Hold keys that are about to be put; commit this first."""
    until = now(session) + SECONDS
    session.add_all(HeldBlobRow(key=key, until=until) for key in keys)


def release(session: Session, keys: Sequence[str]) -> None:
    """End the holds in the transaction that names their files.

    Raises storage_unavailable where one is gone, and its file perhaps with it.
    """
    if len(drop(session, keys)) < len(keys):
        raise HeadstartError(
            "storage_unavailable", "the upload took too long to store; send it again", retry_after=1
        )


def drop(session: Session, keys: Sequence[str]) -> list[str]:
    """End those of the holds that are left; answers them: no other transaction has named them."""
    gone = delete(HeldBlobRow).where(HeldBlobRow.key.in_(keys)).returning(HeldBlobRow.key)
    return list(session.scalars(gone.execution_options(synchronize_session=False)))


def end(session: Session, folders: Sequence[str]) -> None:
    """End the holds on whatever is in these folders: who holds it names it no more."""
    inside = or_(*(HeldBlobRow.key.startswith(folder, autoescape=True) for folder in folders))
    session.execute(delete(HeldBlobRow).where(inside).execution_options(synchronize_session=False))


def expire(session: Session) -> list[str]:
    """End the holds of killed processes; what they held, which nobody will name."""
    old = delete(HeldBlobRow).where(HeldBlobRow.until < now(session)).returning(HeldBlobRow.key)
    return list(session.scalars(old.execution_options(synchronize_session=False)))


def is_held(session: Session, key: str) -> bool:
    """Whether somebody is about to name the file."""
    return session.get(HeldBlobRow, key, populate_existing=True) is not None


def is_needed(session: Session, key: str) -> bool:
    """Whether a pack or manifest is held, named or still to be read; if not, it never will be.

    Looks are in the order of its life: what ends between two has left the next to be seen.
    """
    if is_held(session, key):
        return True
    kind, organisation_id, name = key.split("/")
    sha256 = name.partition(".")[0]
    if datasets.is_referenced(session, kind, sha256, organisation_id=organisation_id):
        return True
    return erasures.names(session, sha256, organisation_id=organisation_id)
