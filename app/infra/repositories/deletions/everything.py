"""Deleting all that an organisation holds; what was done and counted, and its keys, stay."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Table, delete, update
from sqlalchemy.orm import Session

from app.infra.orm import (
    ApiKeyRow,
    AuditEntryRow,
    Base,
    DeletedFileRow,
    DeletionRow,
    EmbeddingRow,
    OrganisationRow,
    SegmentRow,
    UsageRow,
)

KEPT = {ApiKeyRow, AuditEntryRow, DeletionRow, DeletedFileRow, OrganisationRow, UsageRow}
"""What says who may do what, what was done, and what is still to go."""
LATER = {SegmentRow, EmbeddingRow}
"""Too many for one transaction: `app.infra.erasure` drops them, segment by segment."""
_COLUMN = "organisation_id"


def delete_rows(session: Session, *, organisation_id: str) -> dict[str, int]:
    """Delete every row of the organisation but those that stay; how many, by their tables.

    Whoever works on one of them loses its claim. It goes through the tables twice: who held an
    alias or a model has committed by then what it wrote meanwhile, and nobody finds one to hold.
    """
    counts: Counter[str] = Counter()
    for table in [*reversed(tables()), *reversed(tables())]:
        mine = table.c[_COLUMN] == organisation_id if _COLUMN in table.c else None
        if mine is None:
            continue
        gone: Any = session.execute(delete(table).where(mine))
        if gone.rowcount:
            counts[table.name] += gone.rowcount
    session.execute(
        update(OrganisationRow)
        .where(OrganisationRow.id == organisation_id)
        .values(pseudonym_key=None)
    )
    return dict(counts)


def tables() -> list[Table]:
    """Those whose rows go, each after those that it refers to; children go with their parents."""
    stay = {of.__tablename__ for of in KEPT | LATER}
    return [table for table in Base.metadata.sorted_tables if table.name not in stay]
