"""How many bytes each organisation has stored, by what they are."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.infra.database import Sessions, reading, transaction
from app.infra.orm import (
    DatasetRow,
    FeedbackRow,
    FileRow,
    LoggedPredictionRow,
    ModelRow,
    SegmentRow,
    UploadPartRow,
)
from app.infra.repositories import usage
from app.infra.repositories.usage import Whose

KINDS = {
    "uploads": (DatasetRow.bytes, FileRow.bytes, UploadPartRow.bytes),
    "embeddings": (SegmentRow.bytes,),
    "models": (ModelRow.bytes,),
    "predictions": (LoggedPredictionRow.content_length, FeedbackRow.content_length),
}
"""By the subjects of usage records: the columns that are added up."""


def record(sessions: Sessions) -> int:
    """Write down what is stored, where it is more than was seen today; always 0."""
    with reading(sessions) as session:
        found = measured(session)
    with transaction(sessions) as session:
        usage.add(session, found, highest=True)
    return 0


def measured(session: Session) -> dict[Whose, float]:
    """What is stored now, of all organisations."""
    found: dict[Whose, float] = {}
    for subject, columns in KINDS.items():
        for column in columns:
            owner = column.class_.organisation_id
            for name, size in session.execute(select(owner, func.sum(column)).group_by(owner)):
                whose: Whose = (name, "stored_bytes", subject)
                found[whose] = found.get(whose, 0) + float(size or 0)
    return found
