"""Erasures: manifests of deleted datasets and batches whose contents are still to be forgotten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.core.ids import new_id
from app.infra.database import now
from app.infra.orm import ErasureRow


def add(
    session: Session, manifests: Iterable[str], *, organisation_id: str, deletion_id: str
) -> None:
    """Note, in the transaction that deletes what had them, that these manifests go."""
    at = now(session)
    session.add_all(
        ErasureRow(
            id=new_id("erasure_"),
            organisation_id=organisation_id,
            manifest_sha256=manifest,
            deletion_id=deletion_id,
            created_at=at,
        )
        for manifest in sorted(manifests)
    )


def pending(session: Session, organisation_id: str) -> dict[str, dict[str, str]]:
    """The organisation's erasures by their deletions (empty: of before there were any): the
    manifest of each.
    """
    pending = select(ErasureRow.id, ErasureRow.deletion_id, ErasureRow.manifest_sha256).where(
        ErasureRow.organisation_id == organisation_id
    )
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for row in session.execute(pending):
        found[row.deletion_id or ""][row.id] = row.manifest_sha256
    return found


def names(session: Session, manifest_sha256: str, *, organisation_id: str) -> bool:
    """Whether an erasure has yet to read this manifest."""
    noted = select(ErasureRow.id).where(
        ErasureRow.organisation_id == organisation_id,
        ErasureRow.manifest_sha256 == manifest_sha256,
    )
    return session.scalars(noted.limit(1)).first() is not None


def drop(session: Session, ids: Iterable[str], *, organisation_id: str) -> int:
    """These are done; how many nobody else has dropped before."""
    gone = delete(ErasureRow).where(
        ErasureRow.organisation_id == organisation_id, ErasureRow.id.in_(list(ids))
    )
    return len(session.scalars(gone.returning(ErasureRow.id)).all())


def overdue(session: Session, *, seconds: float) -> set[str]:
    """The organisations whose erasures nobody has done for so long."""
    old = ErasureRow.created_at < now(session) - seconds
    return set(session.scalars(select(ErasureRow.organisation_id).where(old).distinct()))
