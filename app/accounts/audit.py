"""`/v1/audit-log`: who has changed or taken out what. It is read, and nothing else."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from app.core.identity import ORGANISATION
from app.http.dependencies import Admin, Reading
from app.http.pages import Limit, Page, cursor, page
from app.http.routes import StrictRoute
from app.infra.orm import AuditEntryRow
from app.infra.repositories import audit

router = APIRouter(route_class=StrictRoute, prefix="/v1/audit-log", tags=["api keys"])


class AuditEntry(BaseModel):
    """One thing that a key has done."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "audit_01jd3v6s0q8m4f2k9x7c5b1n3a",
                    "object": "audit_log.entry",
                    "created_at": 1764000000,
                    "organization_id": "default",
                    "key_id": "key_01jd3v6s0q8m4f2k9x7c5b1n3a",
                    "action": "delete_dataset",
                    "object_id": "ds_01jd3v6s0q8m4f2k9x7c5b1n3a",
                    "request_id": "req_01jd3v6s0q8m4f2k9x7c5b1n3a",
                    "address": "192.0.2.7",
                    "status": 200,
                }
            ]
        }
    )

    id: str
    object: Literal["audit_log.entry"] = "audit_log.entry"
    created_at: int
    organization_id: str
    key_id: str = Field(description="Empty: the command line on the service's own machine.")
    action: str = Field(description="The operation, as the OpenAPI document's ids begin.")
    object_id: str | None = Field(description="What it was done to, or what was made.")
    request_id: str
    address: str | None = Field(description="Where the request came from.")
    status: int


@router.get("")
def list_audit_log(
    caller: Admin,
    session: Reading,
    *,
    organization: Annotated[
        str | None,
        Query(pattern=ORGANISATION, description="Another tenant; needs the scope `operator`."),
    ] = None,
    action: Annotated[
        str | None, Query(max_length=100, pattern=r"^[a-z0-9_ ]+$", examples=["delete_dataset"])
    ] = None,
    object_id: Annotated[str | None, Query(max_length=200, pattern=r"^[\x21-\x7e]+$")] = None,
    after: Annotated[str | None, cursor("audit_")] = None,
    limit: Limit = 20,
) -> Page[AuditEntry]:
    """What the organisation's keys have done, newest first; kept for `HEADSTART_AUDIT_DAYS`.

    Changes, and contents and models that were taken out; not predictions, and nothing refused.
    """
    wanted = organization or caller.organisation_id
    if wanted != caller.organisation_id:
        caller.require("operator")
    entries = audit.newest(wanted, after=after)
    if action is not None:
        entries = entries.where(AuditEntryRow.action == action)
    if object_id is not None:
        entries = entries.where(AuditEntryRow.object_id == object_id)
    return page(session.scalars(entries.limit(limit + 1)).all(), limit, _told)


def _told(row: AuditEntryRow) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        created_at=int(row.created_at),
        organization_id=row.organisation_id,
        key_id=row.key_id,
        action=row.action,
        object_id=row.object_id,
        request_id=row.request_id,
        address=row.address,
        status=row.status,
    )
