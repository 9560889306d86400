"""Recognises keys; remembers each for a second, so that a busy caller costs no query."""

from __future__ import annotations

import asyncio
import hmac
import time
from dataclasses import replace

from anyio import to_thread
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.identity import Identity, key_digest
from app.infra.database import Sessions, now, reading, repeated
from app.infra.orm import ApiKeyRow, OrganisationRow
from app.infra.repositories.quotas import quotas_of
from app.infra.settings import Settings

_CACHE_SECONDS = 1.0
_CACHE_SIZE = 10_000


def find_key(session: Session, key: str) -> Identity | None:
    """Whose key this is, or None if it is unknown, revoked or expired."""
    row = session.scalars(
        select(ApiKeyRow).where(ApiKeyRow.prefix == key[:15], ApiKeyRow.revoked_at.is_(None))
    ).one_or_none()
    if row is not None and row.expires_at is not None and row.expires_at <= now(session):
        return None
    if row is None or not hmac.compare_digest(row.secret_sha256, key_digest(key)):
        return None
    return Identity(row.organisation_id, row.id, frozenset(row.scopes))


def _may_be_key(told: str) -> bool:
    """Whether a database is to be asked: what cannot be a key may hold what it refuses to read."""
    return told.startswith("hs_") and len(told) < 200 and told.isascii() and told.isprintable()


class Keyring:
    """Recognises keys; remembers each for a second, so that a busy caller costs no query."""

    def __init__(self, sessions: Sessions, settings: Settings) -> None:
        self._sessions, self._settings = sessions, settings
        self._known: dict[str, tuple[float, object, Identity]] = {}
        self._asked: dict[str, asyncio.Task[Identity]] = {}
        self._used: set[str] = set()
        self._era = object()
        """Since the last revocation; what was looked up in another one is not to be trusted."""

    def recall(self, authorization: str) -> Identity | None:
        """The identity behind the header, if it was looked up within the last second."""
        entry = self._known.get(authorization)
        if entry is None or entry[0] < time.monotonic() or entry[1] is not self._era:
            return None
        return entry[2]

    async def identify(self, authorization: str) -> Identity:
        """The identity behind the header. Raises unauthenticated.

        Whoever comes while it is looked up waits for that: else each of a busy caller's requests
        asked the database, once a second, all of them at once.
        """
        known = self.recall(authorization)
        if known is not None:
            return known
        task = self._asked.get(authorization)
        if task is None:
            task = asyncio.create_task(to_thread.run_sync(self.look_up, authorization))
            self._asked[authorization] = task
            task.add_done_callback(lambda done: self._heard(authorization, done))
        return await asyncio.shield(task)

    def _heard(self, authorization: str, task: asyncio.Task[Identity]) -> None:
        """Of an answer that has come; those who asked may all have gone."""
        if self._asked.get(authorization) is task:
            self._asked.pop(authorization, None)  # a revocation in a thread may take it first
        if not task.cancelled():
            task.exception()

    def look_up(self, authorization: str) -> Identity:
        """The identity behind the header, from the database. Raises unauthenticated."""
        scheme, _, key = authorization.partition(" ")
        identity, era = None, self._era
        if scheme.lower() == "bearer" and _may_be_key(key):
            with reading(self._sessions) as session:
                identity = self._bounded(session, find_key(session, key))
        if identity is None:
            raise HeadstartError("unauthenticated", "send a valid key: Authorization: Bearer hs_…")
        self._used.add(identity.key_id)
        if len(self._known) >= _CACHE_SIZE:
            self._known.clear()
        self._known[authorization] = (time.monotonic() + _CACHE_SECONDS, era, identity)
        return identity

    def _bounded(self, session: Session, known: Identity | None) -> Identity | None:
        if known is None:
            return None
        organisation = session.get(OrganisationRow, known.organisation_id)
        most = quotas_of(organisation, self._settings).requests_per_minute
        return replace(known, requests_per_minute=most)

    def note_used(self) -> int:
        """Write down which keys were used since this was asked last; 0, for nothing is removed."""
        used, self._used = self._used, set()

        def step(session: Session) -> None:
            of = update(ApiKeyRow).where(ApiKeyRow.id.in_(used))
            session.execute(
                of.values(last_used_at=now(session)),
                execution_options={"synchronize_session": False},
            )

        try:
            if used:
                repeated(self._sessions, step)
        except HeadstartError:
            self._used |= used
            raise
        return 0

    def forget(self) -> None:
        """Drop what is remembered, and what is being looked up: a key was revoked."""
        self._era = object()
        self._known.clear()
        self._asked.clear()
