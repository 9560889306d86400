"""An upload's Idempotency-Key: kept while the upload works, answered when its effect is made."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from typing import Any

import structlog
from anyio import to_thread
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.http import idempotency
from app.http.idempotency import Reply
from app.infra.repositories.datasets import DatasetSnapshot

log = structlog.get_logger()
_EXTEND_SECONDS = 15.0


class Receipt:
    """What else belongs into the step that makes a version: for most of them, nothing."""

    def hold(self) -> AbstractContextManager[object]:
        """Entered before the transaction begins and left after it has ended."""
        return nullcontext()

    def complete(self, session: Session, found: DatasetSnapshot) -> None:
        """Called inside the transaction, the version made."""


class KeyLease(Receipt):
    """The upload's idempotency key, kept while it works and answered with what it has made."""

    def __init__(self, key: idempotency.UploadKey, *, status: int) -> None:
        self._key = key
        self._status = status
        self._turn = threading.Lock()
        self.digest = ""

    def hold(self) -> AbstractContextManager[object]:
        """No extension runs while the answer is written: they would contradict each other."""
        return self._turn

    def complete(self, session: Session, found: DatasetSnapshot) -> None:
        """Store which version the key has made, in the version's own transaction."""
        self.answer(session, {"dataset": found.dataset.id, "version": found.version.number})

    def answer(self, session: Session, made: dict[str, Any]) -> None:
        """Store what the key has made, in the transaction that makes it."""
        body = {**made, "digest": self.digest}
        self._key.complete(session, Reply(status=self._status, body=body))

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Extend the lease for as long as the block works; give the key back if it fails."""
        task = asyncio.create_task(self._keep()) if self._key.key else None
        try:
            yield
        except BaseException:
            await asyncio.shield(to_thread.run_sync(self._release))
            raise
        finally:
            if task is not None:
                task.cancel()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_EXTEND_SECONDS)
            try:
                await to_thread.run_sync(self._extend)
            except HeadstartError as error:  # completing the upload will say so, if it matters
                log.warning("an upload's key is not extended", code=error.code)

    def _extend(self) -> None:
        with self._turn:
            self._key.extend()

    def _release(self) -> None:
        with suppress(HeadstartError):  # it runs out by itself
            self._key.release()
