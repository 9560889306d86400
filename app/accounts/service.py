"""Keys: how they are made, stored and recognised."""

from __future__ import annotations

import math
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
    session: Session,
    *,
    organisation_id: str,
    name: str,
    scopes: Sequence[str],
    expires_at: float | None = None,
) -> tuple[ApiKeyRow, str]:
    """A new key of an organisation (made if it is new): its row, and the secret, told only now.

    Raises invalid_value for a name that no organisation can have, and for a time that has passed.
    """
    if expires_at is not None and expires_at <= now(session):
        raise HeadstartError("invalid_value", "it would have expired already", param="expires_at")
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
        expires_at=expires_at,
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


def rotate(session: Session, row: ApiKeyRow, *, overlap_seconds: float) -> tuple[ApiKeyRow, str]:
    """A key in another's place, which opens nothing any more once the overlap is over.

    Its life is as long as the other's was to be. Asked again, because the answer was lost, it takes
    the place of the first one, whose secret nobody has. Raises in_use where that one was used.
    """
    session.refresh(row, with_for_update=True)
    at, life = now(session), None
    lost = session.get(ApiKeyRow, row.replaced_by) if row.replaced_by is not None else None
    if lost is not None and lost.last_used_at is not None:
        why = f"the key was replaced by {lost.id}, which is in use: replace or revoke that one"
        raise HeadstartError("in_use", why)
    like = row if lost is None else lost
    if like.expires_at is not None:
        life = like.expires_at - like.created_at
    if lost is not None:
        lost.revoked_at = lost.revoked_at or at
    made = create_key(
        session,
        organisation_id=row.organisation_id,
        name=row.name,
        scopes=row.scopes,
        expires_at=None if life is None else at + life,
    )
    row.expires_at = min(at + overlap_seconds, row.expires_at or math.inf)
    row.replaced_by = made[0].id
    return made
