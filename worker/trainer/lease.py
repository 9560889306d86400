"""Keeping a claim: heartbeats from a thread of its own, and a look twice a second for its loss.

The thread only notices; the trainer asks `check` between two messages of the tensor process, and
the fence refuses whatever it would still write.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import HeadstartError
from app.infra.database import Sessions, reading, transaction
from app.infra.repositories import work
from app.infra.repositories.work import Claim, LostClaimError
from app.infra.settings import Settings

LOOK_SECONDS = 0.5

log = structlog.get_logger(__name__)


class Lease:
    """A claim that stays ours while the `with` block runs, unless it is cancelled or rescued."""

    def __init__(
        self, sessions: Sessions, claim: Claim, settings: Settings, on_beat: Callable[[], None]
    ) -> None:
        self._sessions = sessions
        self._claim = claim
        self._settings = settings
        self._on_beat = on_beat
        self._lost = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def check(self) -> None:
        """Raises LostClaimError once the claim is known to be lost."""
        if self._lost.is_set():
            raise LostClaimError(self._claim.id)

    def _keep(self) -> None:
        beaten = time.monotonic()
        while not self._over.wait(LOOK_SECONDS):
            try:
                if time.monotonic() - beaten >= self._settings.heartbeat_seconds:
                    self._beat()
                    beaten = time.monotonic()
                else:
                    self._look()
            except LostClaimError:
                self._lost.set()
                return
            except (HeadstartError, SQLAlchemyError) as error:  # the fence decides afterwards
                log.warning("lease not checked", work=self._claim.id, reason=error)

    def _beat(self) -> None:
        with transaction(self._sessions) as session:
            work.heartbeat(session, self._claim, lease_seconds=self._settings.lease_seconds)
        self._on_beat()

    def _look(self) -> None:
        with reading(self._sessions) as session:
            if not work.held(session, self._claim):
                raise LostClaimError(self._claim.id)
