"""`/v1/organizations`: what a tenant may hold and ask for, and what it holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path
from sqlalchemy.orm import Session

from app.accounts.schemas import Organisation, OrganisationChange, QuotaNumbers
from app.core.errors import HeadstartError
from app.core.identity import ORGANISATION
from app.http.dependencies import Admin, Reader, Reading, ServicesDep, writing
from app.http.openapi import problems
from app.http.routes import StrictRoute
from app.infra.orm import OrganisationRow
from app.infra.repositories.quotas import quotas_of, usage
from app.infra.settings import Settings

router = APIRouter(route_class=StrictRoute, prefix="/v1/organizations", tags=["organizations"])

OrganisationId = Annotated[
    str, Path(pattern=ORGANISATION, description="Its name; `me` is the key's own.", examples=["me"])
]


@router.get("/{organization}", responses=problems("not_found"))
def get_organization(
    organization: OrganisationId, caller: Reader, session: Reading, services: ServicesDep
) -> Organisation:
    """A tenant's bounds, and what it holds; another's than the key's needs the scope `operator`."""
    wanted = caller.organisation_id if organization == "me" else organization
    if wanted != caller.organisation_id:
        caller.require("operator")
    return _told(session, wanted, services.settings)


@router.patch("/{organization}", responses=problems("not_found", "invalid_json"))
def change_organization(
    organization: OrganisationId, body: OrganisationChange, caller: Admin, *, services: ServicesDep
) -> Organisation:
    """Give a tenant bounds of its own instead of everybody's; needs the scope `operator`."""
    caller.require("operator")
    wanted = caller.organisation_id if organization == "me" else organization
    with writing(services) as session:
        _found(session, wanted).quotas = body.quotas.model_dump(exclude_none=True) or None
        told = _told(session, wanted, services.settings)
    services.keyring.forget()
    return told


def _found(session: Session, name: str) -> OrganisationRow:
    row = session.get(OrganisationRow, name)
    if row is None:
        raise HeadstartError("not_found", "there is no such organisation", param="organization")
    return row


def _told(session: Session, name: str, settings: Settings) -> Organisation:
    row = _found(session, name)
    return Organisation(
        id=row.id,
        created_at=int(row.created_at),
        quotas=QuotaNumbers(**asdict(quotas_of(row, settings))),
        usage=usage(session, name),
    )
