"""The key by which an organisation's patients get names that tell nobody who they are."""

from __future__ import annotations

import secrets

from sqlalchemy import update
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.infra.orm import OrganisationRow
from app.infra.repositories import sealing
from app.infra.vault import Vault


def key_of(session: Session, vault: Vault, organisation_id: str) -> str:
    """64 hexadecimal digits, drawn when first asked for; the caller commits.

    Raises not_found, secret_unreadable, secrets_key_missing.
    """
    whose = OrganisationRow.id == organisation_id
    unkeyed = update(OrganisationRow).where(whose, OrganisationRow.pseudonym_key.is_(None))
    row = session.get(OrganisationRow, organisation_id)
    if row is None:
        raise HeadstartError("not_found", "there is no such organisation")
    if row.pseudonym_key is None:
        drawn = sealing.kept(session, vault, secrets.token_hex(32), row)
        session.execute(unkeyed.values(pseudonym_key=drawn))
        session.refresh(row)
    assert row.pseudonym_key is not None
    return sealing.told(vault, row.pseudonym_key, row)
