"""Keys: how they are made, stored and recognised."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.identity import ORGANISATION, key_digest
from app.core.ids import new_id
from app.infra.database import now
from app.infra.orm import ApiKeyRow, OrganisationRow


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
    if session.get(OrganisationRow, organisation_id) is None:
        session.add(OrganisationRow(id=organisation_id, created_at=now(session)))
        session.flush()
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
