"""Keys: how they are made, stored and recognised."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

from sqlalchemy import Select, or_, select, text
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.identity import ORGANISATION, key_digest
from app.core.ids import new_id
from app.infra.database import now
from app.infra.orm import ApiKeyRow

PREFIX_LENGTH = len("hs_") + 12


def create_key(
    session: Session, *, organisation_id: str, name: str, scopes: Sequence[str]
) -> tuple[ApiKeyRow, str]:
    """A new key of an organisation (made if it is new): its row, and the secret, told only now.

    Raises invalid_value for a name that no organisation can have.
    """
    if not re.fullmatch(ORGANISATION, organisation_id):
        raise HeadstartError(
            "invalid_value", f"an organisation's name fits {ORGANISATION}", param="organisation"
        )
    _ensure(session, organisation_id)
    prefix = "hs_" + secrets.token_hex(6)
    key = f"{prefix}_{secrets.token_urlsafe(32)}"
    row = ApiKeyRow(
        id=new_id("key_"),
        organisation_id=organisation_id,
        name=name,
        prefix=prefix,
        secret_sha256=key_digest(key),
        scopes=list(scopes),
        created_at=now(session),
    )
    session.add(row)
    session.flush()
    return row, key


def _ensure(session: Session, organisation_id: str) -> None:
    """Make the organisation unless it is there, or somebody else makes it right now."""
    session.execute(
        text(
            "INSERT INTO organisations (id, created_at, last_claimed_at) VALUES (:id, :at, 0) "
            "ON CONFLICT DO NOTHING"
        ),
        {"id": organisation_id, "at": now(session)},
    )


def create_first_key(session: Session) -> tuple[ApiKeyRow, str]:
    """The operator's own key, which the data folder's file `api-key` holds."""
    scopes = ("admin", "operator")
    return create_key(session, organisation_id="default", name="first", scopes=scopes)


def live_keys(organisation_id: str | None = None) -> Select[ApiKeyRow]:
    """The keys that are not revoked, newest first, of one organisation or of all."""
    unrevoked = (
        select(ApiKeyRow).where(ApiKeyRow.revoked_at.is_(None)).order_by(ApiKeyRow.id.desc())
    )
    return (
        unrevoked
        if organisation_id is None
        else unrevoked.where(ApiKeyRow.organisation_id == organisation_id)
    )


def find_live(session: Session, among: Select[ApiKeyRow], key: str) -> ApiKeyRow:
    """The one of these keys that has this id, or begins with this prefix. Raises not_found."""
    named = or_(ApiKeyRow.id == key, ApiKeyRow.prefix == key[:PREFIX_LENGTH])
    row = session.scalars(among.where(named)).one_or_none() if key.isprintable() else None
    if row is None:
        raise HeadstartError("not_found", "no such API key")
    return row
