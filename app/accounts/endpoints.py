"""`/v1/api_keys`: make, list and revoke the keys of an organisation."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.accounts.schemas import ApiKey, CreatedKey, NewKey, RevokedKey, key_of
from app.accounts.service import create_key
from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.http.dependencies import Admin, Reading, ServicesDep, Writing
from app.http.openapi import problems
from app.http.pages import Limit, Page, cursor, looks_like, page
from app.http.strict_json import StrictRoute
from app.infra.database import now, transaction
from app.infra.orm import ApiKeyRow

router = APIRouter(route_class=StrictRoute, prefix="/v1/api_keys", tags=["api keys"])


@router.post("", status_code=201, responses=problems("invalid_json", "unsupported_media_type"))
def create_api_key(body: NewKey, caller: Admin, session: Writing, response: Response) -> CreatedKey:
    """Make a key. Its secret is in this answer and nowhere else, so nothing replays it."""
    elsewhere = body.organization not in (None, caller.organisation_id)
    if elsewhere or "operator" in body.scopes:
        caller.require("operator")
    row, key = create_key(
        session,
        organisation_id=body.organization or caller.organisation_id,
        name=body.name,
        scopes=list(dict.fromkeys(body.scopes)),
    )
    response.headers["location"] = f"/v1/api_keys/{row.id}"
    return CreatedKey(**key_of(row).model_dump(), key=key)


@router.get("")
def list_api_keys(
    caller: Admin,
    session: Reading,
    *,
    after: Annotated[str | None, cursor("key_")] = None,
    limit: Limit = 20,
) -> Page[ApiKey]:
    """The organisation's keys that are not revoked, newest first."""
    keys = _live(caller).order_by(ApiKeyRow.id.desc())
    if after is not None:
        keys = keys.where(ApiKeyRow.id < after)
    return page(session.scalars(keys.limit(limit + 1)).all(), limit, key_of)


@router.get("/{key_id}", responses=problems("not_found"))
def get_api_key(key_id: str, caller: Admin, session: Reading) -> ApiKey:
    """One key, without its secret."""
    return key_of(_get(session, caller, key_id))


@router.delete("/{key_id}", responses=problems("not_found"))
def revoke_api_key(key_id: str, caller: Admin, services: ServicesDep) -> RevokedKey:
    """Revoke a key: it stops working at once here, and within a second in other processes."""
    with transaction(services.sessions) as session:
        _get(session, caller, key_id).revoked_at = now(session)
    services.keyring.forget()
    return RevokedKey(id=key_id)


def _live(caller: Identity) -> Select[ApiKeyRow]:
    return select(ApiKeyRow).where(
        ApiKeyRow.organisation_id == caller.organisation_id, ApiKeyRow.revoked_at.is_(None)
    )


def _get(session: Session, caller: Identity, key_id: str) -> ApiKeyRow:
    row = None
    if looks_like(key_id, "key_"):
        row = session.scalars(_live(caller).where(ApiKeyRow.id == key_id)).one_or_none()
    if row is None:
        raise HeadstartError("not_found", "no such API key")
    return row
