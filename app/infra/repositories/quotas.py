"""What an organisation may hold and ask for, so that none can take what others need.

The settings are everybody's; an operator may give an organisation bounds of its own. What is held
is counted in the transaction that adds to it, one organisation's after another, so that no two can
both take the last of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

from sqlalchemy import Select, and_, func, select, text
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.job_state import TERMINAL
from app.infra.orm import (
    ApiKeyRow,
    BatchRow,
    DatasetRow,
    DatasetVersionRow,
    FeedbackRow,
    FileRow,
    JobRow,
    LoggedPredictionRow,
    OrganisationRow,
    RequestBatchRow,
    UploadPartRow,
)
from app.infra.repositories.openai.request_batches import ENDED
from app.infra.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Quotas:
    """Bounds of one organisation; 0 is none.

    `stored_bytes` of uploads and of inputs that logs and feedback keep, `examples` of the datasets'
    latest versions, `jobs` and batches that have not ended, `keys` that are not revoked,
    `requests_per_minute` that predict or embed.
    """

    stored_bytes: int
    examples: int
    jobs: int
    keys: int
    requests_per_minute: int


NAMES = tuple(field.name for field in fields(Quotas))


def quotas_of(row: OrganisationRow | None, settings: Settings) -> Quotas:
    """The organisation's own bounds where it has some, else everybody's."""
    everybody = Quotas(**{name: getattr(settings, f"quota_{name}") for name in NAMES})
    own: Mapping[str, int] = (row.quotas if row is not None else None) or {}
    return replace(everybody, **{name: own[name] for name in NAMES if name in own})


def usage(session: Session, organisation_id: str) -> dict[str, int]:
    """What the organisation holds by now, by the names of the quotas that are counted."""
    return {name: _count(session, name, organisation_id) for name in _COUNTED}


def check(session: Session, settings: Settings, organisation_id: str, *names: str) -> None:
    """Raise quota_exceeded where more is held than may be; called after what adds to it.

    Until the transaction ends nobody else of the organisation passes here.
    """
    row = session.get(OrganisationRow, organisation_id)
    bounds = asdict(quotas_of(row, settings))
    bounded = [name for name in names if bounds[name]]
    if not bounded:
        return
    session.flush()
    if session.get_bind().dialect.name == "postgresql":
        lock = text("SELECT pg_advisory_xact_lock(hashtext('quota'), hashtext(:of))")
        session.execute(lock, {"of": organisation_id})
    for name in bounded:
        held = _count(session, name, organisation_id)
        if held > bounds[name]:
            raise exceeded(name, bounds[name])


def check_room(
    session: Session, settings: Settings, organisation_id: str, *, coming: int = 0
) -> None:
    """Raise quota_exceeded where an upload of `coming` bytes cannot be kept, before it is read."""
    most = quotas_of(session.get(OrganisationRow, organisation_id), settings).stored_bytes
    if most and _count(session, "stored_bytes", organisation_id) + max(1, coming) > most:
        raise exceeded("stored_bytes", most)


def has_room(session: Session, settings: Settings, organisation_id: str, *, coming: int) -> bool:
    """Whether so many bytes more can be kept."""
    most = quotas_of(session.get(OrganisationRow, organisation_id), settings).stored_bytes
    return not most or _count(session, "stored_bytes", organisation_id) + coming <= most


def exceeded(name: str, most: int) -> HeadstartError:
    """The error that says which bound it is, and what to do."""
    return HeadstartError(
        "quota_exceeded",
        f"the organisation may have {most:,} {_SAID[name]}",
        param=name,
        extra={"quota": {"name": name, "limit": most}},
    )


_SAID = {
    "stored_bytes": "bytes of uploads and kept predictions: delete what is no longer needed",
    "examples": "examples: delete datasets that are no longer needed",
    "jobs": "jobs and batches at once: wait for one to end, or cancel it",
    "keys": "keys: revoke one",
}


def _count(session: Session, name: str, organisation_id: str) -> int:
    return sum(session.scalar(query) or 0 for query in _COUNTED[name](organisation_id))


def _stored_bytes(organisation_id: str) -> tuple[Select[int], ...]:
    return tuple(
        select(func.coalesce(func.sum(of.bytes), 0)).where(of.organisation_id == organisation_id)
        for of in (DatasetRow, FileRow, UploadPartRow)
    ) + tuple(
        select(func.coalesce(func.sum(of.content_length), 0)).where(
            of.organisation_id == organisation_id
        )
        for of in (LoggedPredictionRow, FeedbackRow)
    )


def _examples(organisation_id: str) -> tuple[Select[int], ...]:
    latest = and_(
        DatasetVersionRow.dataset_id == DatasetRow.id,
        DatasetVersionRow.number == DatasetRow.latest_version,
    )
    total = func.coalesce(func.sum(DatasetVersionRow.num_examples), 0)
    joined = select(total).join(DatasetRow, latest)
    return (joined.where(DatasetRow.organisation_id == organisation_id),)


def _jobs(organisation_id: str) -> tuple[Select[int], ...]:
    return tuple(
        select(func.count()).where(
            kind.organisation_id == organisation_id, kind.status.not_in(ended)
        )
        for kind, ended in ((JobRow, TERMINAL), (BatchRow, TERMINAL), (RequestBatchRow, ENDED))
    )


def _keys(organisation_id: str) -> tuple[Select[int], ...]:
    live = ApiKeyRow.organisation_id == organisation_id, ApiKeyRow.revoked_at.is_(None)
    return (select(func.count()).where(*live),)


_COUNTED = {"stored_bytes": _stored_bytes, "examples": _examples, "jobs": _jobs, "keys": _keys}
