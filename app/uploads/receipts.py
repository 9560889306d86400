"""An upload's Idempotency-Key: leased while the upload works, answered when its effect is made.

The lease is taken before the body is read (a second caller gets 409 `in_flight`), and the answer is
written in the transaction of the effect; a lease not extended runs out, so that no crash leaves a
key stuck. One that cannot be given back, since the database is away, is once that is back.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import structlog
from anyio import to_thread
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.http.idempotency import in_flight, stored
from app.infra.database import Sessions, now, repeated
from app.infra.repositories import idempotency
from app.infra.repositories.idempotency import IdempotencyKey, Reply

log = structlog.get_logger()
LEASE_SECONDS = 60.0
_EXTEND_SECONDS = 15.0
_AGAIN_SECONDS = 1.0
_GIVING_BACK: set[asyncio.Task[None]] = set()
"""What still tries to give keys back, and would else be collected as garbage."""


class Receipt:
    """What is answered under an upload's key; where it came with none, every step does nothing."""

    def __init__(self, *, status: int = 200) -> None:
        self._status = status
        self._turn = threading.Lock()
        self.digest = ""
        """What tells this upload from another, once it has been received."""

    def hold(self) -> AbstractContextManager[object]:
        """No extension runs while the answer is written: they would contradict each other.

        Entered before the transaction begins and left after it has ended.
        """
        return self._turn

    def answer(self, session: Session, made: dict[str, Any]) -> None:
        """Store the ids of what was made, in the transaction that makes it.

        Raises in_flight if the lease is lost.
        """
        self._store(session, Reply(status=self._status, body={**made, "digest": self.digest}))

    def _store(self, session: Session, reply: Reply) -> None:
        """Without a key, nowhere."""

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Without a key there is nothing to keep."""
        yield


class KeyLease(Receipt):
    """A receipt under a key that is leased until `lease`, by the database's clock."""

    def __init__(
        self, sessions: Sessions, key: IdempotencyKey, lease: float, *, status: int
    ) -> None:
        super().__init__(status=status)
        self._sessions, self._key, self.lease = sessions, key, lease

    def _store(self, session: Session, reply: Reply) -> None:
        if not idempotency.answer(session, self._key, reply, lease=self.lease):
            raise in_flight()

    def extend(self) -> None:
        """Keep the lease while bytes still arrive. Raises in_flight where it was lost."""
        with self._turn:
            until = repeated(
                self._sessions,
                lambda session: idempotency.extend(
                    session, self._key, lease=self.lease, lease_seconds=LEASE_SECONDS
                ),
            )
            if until is None:
                raise in_flight()
            self.lease = until

    def release(self) -> None:
        """The upload has failed: its key may be used again at once."""
        with self._turn:  # an extension under way would make it another lease
            repeated(
                self._sessions,
                lambda session: idempotency.release(session, self._key, lease=self.lease),
            )

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Extend the lease for as long as the block works; give the key back if it fails."""
        task = asyncio.create_task(self._keep())
        try:
            yield
        except BaseException:
            if not await asyncio.shield(to_thread.run_sync(self._is_given_back)):
                later = asyncio.create_task(self._give_back_later())
                _GIVING_BACK.add(later)
                later.add_done_callback(_GIVING_BACK.discard)
            raise
        finally:
            task.cancel()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_EXTEND_SECONDS)
            try:
                await to_thread.run_sync(self.extend)
            except HeadstartError as error:  # the answer will say so, if it matters
                log.warning("an upload's key is not extended", code=error.code)

    def _is_given_back(self) -> bool:
        try:
            self.release()
        except HeadstartError as error:
            log.info("an upload's key is given back later", code=error.code)
            return False
        return True

    async def _give_back_later(self) -> None:
        """Until it can be written down, or the lease has run out by itself."""
        until = time.monotonic() + LEASE_SECONDS
        while time.monotonic() < until:
            await asyncio.sleep(_AGAIN_SECONDS)
            if await to_thread.run_sync(self._is_given_back):
                return


def reserve(sessions: Sessions, key: IdempotencyKey | None, *, status: int) -> Receipt | Reply:
    """Lease the key of an upload, or give the answer that it already has.

    Raises in_flight while another caller holds the key, idempotency_mismatch.
    """
    if key is None:
        return Receipt(status=status)

    def step(session: Session) -> Receipt | Reply:
        lease = idempotency.lease(session, key, lease_seconds=LEASE_SECONDS)
        if lease is not None:
            return KeyLease(sessions, key, lease, status=status)
        return stored(idempotency.find(session, key), key, at=now(session))

    return repeated(sessions, step)
