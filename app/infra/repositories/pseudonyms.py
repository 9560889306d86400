"""The key by which an organisation's patients get names that tell nobody who they are."""

from __future__ import annotations

import secrets

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.infra.orm import OrganisationRow


def key_of(session: Session, organisation_id: str) -> str:
    """64 hexadecimal digits, drawn when first asked for; the caller commits. Raises not_found."""
    whose = OrganisationRow.id == organisation_id
    unkeyed = update(OrganisationRow).where(whose, OrganisationRow.pseudonym_key.is_(None))
    session.execute(unkeyed.values(pseudonym_key=secrets.token_hex(32)))
    key = session.scalar(select(OrganisationRow.pseudonym_key).where(whose))
    if key is None:
        raise HeadstartError("not_found", "there is no such organisation")
    return key
