"""`/v1/api_keys`: make, list and revoke the keys of an organisation."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Select
from sqlalchemy.orm import Session

from app.accounts.schemas import ApiKey, Caller, CreatedKey, KeyRotation, NewKey, RevokedKey, key_of
from app.accounts.service import create_key, find_live, live_keys, rotate
from app.core.identity import ORGANISATION, Identity
from app.http.dependencies import Admin, Reading, ServicesDep, Writing
from app.http.openapi import links, problems
from app.http.pages import Limit, Page, cursor, page
from app.http.routes import StrictRoute
from app.infra.database import now, repeated
from app.infra.orm import ApiKeyRow
from app.infra.repositories import quotas

router = APIRouter(route_class=StrictRoute, prefix="/v1/api_keys", tags=["api keys"])
me = APIRouter(route_class=StrictRoute, prefix="/v1/me", tags=["api keys"])


_ONE = "v1_api_keys__key_id_"
_LINKS = links("key_id", get=f"get_api_key_{_ONE}_get", revoke=f"revoke_api_key_{_ONE}_delete")


@router.post(
    "",
    status_code=201,
    responses={
        201: {"links": _LINKS},
        **problems("invalid_json", "unsupported_media_type", "quota_exceeded"),
    },
)
def create_api_key(
    body: NewKey, caller: Admin, *, session: Writing, services: ServicesDep, response: Response
) -> CreatedKey:
    """Make a key. Its secret is in this answer and nowhere else, so nothing replays it."""
    elsewhere = body.organization not in (None, caller.organisation_id)
    if elsewhere or "operator" in body.scopes:
        caller.require("operator")
    row, key = create_key(
        session,
        organisation_id=body.organization or caller.organisation_id,
        name=body.name,
        scopes=list(dict.fromkeys(body.scopes)),
        expires_at=body.expires_at,
    )
    quotas.check(session, services.settings, row.organisation_id, "keys")
    response.headers["location"] = f"/v1/api_keys/{row.id}"
    return CreatedKey(**key_of(row).model_dump(), key=key)


@router.get("")
def list_api_keys(
    caller: Admin,
    session: Reading,
    *,
    organization: Annotated[
        str | None,
        Query(pattern=ORGANISATION, description="Another tenant; needs the scope `operator`."),
    ] = None,
    after: Annotated[str | None, cursor("key_")] = None,
    limit: Limit = 20,
) -> Page[ApiKey]:
    """The organisation's keys that are not revoked, newest first."""
    wanted = organization or caller.organisation_id
    if wanted != caller.organisation_id:
        caller.require("operator")
    keys = live_keys(wanted)
    if after is not None:
        keys = keys.where(ApiKeyRow.id < after)
    return page(session.scalars(keys.limit(limit + 1)).all(), limit, key_of)


@router.get("/{key_id}", responses=problems("not_found"))
def get_api_key(key_id: str, caller: Admin, session: Reading) -> ApiKey:
    """One key, without its secret; with the scope `operator`, any organisation's."""
    return key_of(find_live(session, _within_reach(caller), key_id))


@router.delete("/{key_id}", responses=problems("not_found"))
def revoke_api_key(key_id: str, caller: Admin, services: ServicesDep) -> RevokedKey:
    """Revoke a key: it stops working at once here, and within a second in other processes.

    With the scope `operator`, any organisation's.
    """

    def step(session: Session) -> None:
        find_live(session, _within_reach(caller), key_id).revoked_at = now(session)

    repeated(services.sessions, step)
    services.keyring.forget()
    return RevokedKey(id=key_id)


@router.post(
    "/{key_id}/rotate",
    status_code=201,
    responses={201: {"links": _LINKS}, **problems("not_found", "invalid_json", "in_use")},
)
def rotate_api_key(
    key_id: str, body: KeyRotation, caller: Admin, *, services: ServicesDep, response: Response
) -> CreatedKey:
    """Make a key of the same name and scopes; the former goes on for the overlap, if any.

    Asked again, a new one takes the place of the one made first, unless that is in use already.
    With the scope `operator`, any organisation's.
    """
    services.keyring.note_used()

    def step(session: Session) -> tuple[ApiKeyRow, str]:
        former = find_live(session, _within_reach(caller), key_id)
        if "operator" in former.scopes:
            caller.require("operator")
        return rotate(session, former, overlap_seconds=body.overlap_seconds)

    row, key = repeated(services.sessions, step)
    services.keyring.forget()
    response.headers["location"] = f"/v1/api_keys/{row.id}"
    return CreatedKey(**key_of(row).model_dump(), key=key)


@me.get("")
def get_me(request: Request, session: Reading) -> Caller:
    """The key that asks: its name, organisation and scopes. Any key may ask."""
    identity = request.state.identity
    assert isinstance(identity, Identity)
    row = find_live(session, live_keys(identity.organisation_id), identity.key_id)
    return Caller(**key_of(row).model_dump())


def _within_reach(caller: Identity) -> Select[ApiKeyRow]:
    return live_keys(None if "operator" in caller.scopes else caller.organisation_id)
