"""Keys: how they are made, stored and recognised."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.infra.database import Sessions, now, reading
from app.infra.orm import ApiKeyRow, OrganisationRow

Scope = Literal["read", "write", "predict", "admin", "operator"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
ORGANISATION = r"^[a-z0-9][a-z0-9_-]{0,63}$"
"""Of what an organisation's name is made: it is a part of models' ids and of storage's keys."""
_CACHE_SECONDS = 1.0
_CACHE_SIZE = 10_000


@dataclass(frozen=True)
class Identity:
    """Who calls: the organisation, the key, and what the key may do."""

    organisation_id: str
    key_id: str
    scopes: frozenset[str]

    def require(self, scope: Scope) -> None:
        """Raise `forbidden` unless the key has `scope`; `admin` includes all but `operator`."""
        if scope in self.scopes or ("admin" in self.scopes and scope != "operator"):
            return
        raise HeadstartError("forbidden", f"this key lacks the scope {scope!r}")


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
        secret_sha256=_digest(key),
        scopes=list(scopes),
        created_at=now(session),
    )
    session.add(row)
    session.flush()
    return row, key


def find_key(session: Session, key: str) -> Identity | None:
    """Whose key this is, or None if it is unknown or revoked."""
    row = session.scalars(
        select(ApiKeyRow).where(ApiKeyRow.prefix == key[:15], ApiKeyRow.revoked_at.is_(None))
    ).one_or_none()
    if row is None or not hmac.compare_digest(row.secret_sha256, _digest(key)):
        return None
    return Identity(row.organisation_id, row.id, frozenset(row.scopes))


class Keyring:
    """Recognises keys; remembers each for a second, so that a busy caller costs no query."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._known: dict[str, tuple[float, object, Identity]] = {}
        self._era = object()
        """Since the last revocation; what was looked up in another one is not to be trusted."""

    def recall(self, authorization: str) -> Identity | None:
        """The identity behind the header, if it was looked up within the last second."""
        entry = self._known.get(authorization)
        if entry is None or entry[0] < time.monotonic() or entry[1] is not self._era:
            return None
        return entry[2]

    def look_up(self, authorization: str) -> Identity:
        """The identity behind the header, from the database. Raises unauthenticated."""
        scheme, _, key = authorization.partition(" ")
        identity, era = None, self._era
        if scheme.lower() == "bearer" and key.startswith("hs_") and len(key) < 200:
            with reading(self._sessions) as session:
                identity = find_key(session, key)
        if identity is None:
            raise HeadstartError("unauthenticated", "send a valid key: Authorization: Bearer hs_…")
        if len(self._known) >= _CACHE_SIZE:
            self._known.clear()
        self._known[authorization] = (time.monotonic() + _CACHE_SECONDS, era, identity)
        return identity

    def forget(self) -> None:
        """Drop what is remembered, and what is being looked up: a key was revoked."""
        self._era = object()
        self._known.clear()


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
