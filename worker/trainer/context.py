"""What every step of the trainer needs, opened once a process; and how it stops."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.core.errors import DATABASE_AWAY, HeadstartError
from app.core.ids import new_id
from app.infra import weights
from app.infra.database import Sessions, make_sessions, open_engine, reading, transaction
from app.infra.queue import Doorbell, open_doorbell
from app.infra.repositories.usage.tally import UsageTally
from app.infra.settings import Settings, make_folder
from app.infra.storage import Storage, open_storage
from worker.trainer.bell import Bell
from worker.trainer.embedding_cache import EmbeddingCache
from worker.trainer.liveness import Pulse
from worker.trainer.tensor_process import TensorProcess

T = TypeVar("T")

_PAUSE_SECONDS = 0.5

log = structlog.get_logger(__name__)


class DrainedError(Exception):
    """The trainer stops, and what it was doing did not fit the grace."""


class MadeWayError(Exception):
    """Others' work is to pass; what was done by then is kept, and the work is queued again.

    `noted` goes into its payload, where the next try finds it.
    """

    def __init__(self, **noted: Any) -> None:
        super().__init__(noted)
        self.noted = noted


class Stop:
    """A request to stop: no new work at once, an end to the current work after the grace."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._event = threading.Event()
        self._deadline = 0.0

    def request(self) -> None:
        """Begin to stop; a second call changes nothing. Safe in a signal handler."""
        if not self._event.is_set():
            self._deadline = time.monotonic() + self._grace
            self._event.set()

    @property
    def requested(self) -> bool:
        """Whether a stop was requested."""
        return self._event.is_set()

    def check(self) -> None:
        """Raises DrainedError once the grace is over."""
        if self._event.is_set() and time.monotonic() >= self._deadline:
            raise DrainedError

    def wait(self, seconds: float) -> None:
        """Sleep, but not past a request to stop."""
        self._event.wait(seconds)


def worker_name() -> str:
    """A name that no other process has, for people who look into `work.claimed_by`."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{new_id('')[-6:]}"


@dataclass(frozen=True, kw_only=True)
class Context:
    """The trainer's connections and helpers."""

    settings: Settings
    engine: Engine
    sessions: Sessions
    storage: Storage
    cache: EmbeddingCache
    doorbell: Doorbell
    bell: Bell
    child: TensorProcess
    stop: Stop
    pulse: Pulse
    usage: UsageTally = field(default_factory=UsageTally)
    name: str = field(default_factory=worker_name)

    def read(self, step: Callable[[Session], T]) -> T:
        """`step` in a reading transaction; while the database is away, wait and go on."""
        return self._persist(lambda: _in_reading(self.sessions, step))

    def commit(self, step: Callable[[Session], T]) -> T:
        """`step` in a writing transaction; while the database is away, wait and go on.

        It may run twice when a commit's answer is lost: steps begin with a check of the fence.
        """
        return self._persist(lambda: _in_transaction(self.sessions, step))

    def commit_failure(self, step: Callable[[Session], T]) -> T:
        """Like `commit`, and waits for disk space too: a failure must be written down."""
        return self._persist(lambda: _in_transaction(self.sessions, step), "storage_full")

    def _persist(self, attempt: Callable[[], T], *also: str) -> T:
        while True:
            try:
                return attempt()
            except HeadstartError as error:
                if error.code not in (*DATABASE_AWAY, *also):
                    raise
                log.warning("waiting for the database", reason=error)
            self.stop.check()
            time.sleep(_PAUSE_SECONDS)

    def close(self) -> None:
        """End the child and close every connection."""
        self.child.kill()
        self.doorbell.close()
        self.bell.close()
        self.engine.dispose()
        self.pulse.end()


def _in_reading(sessions: Sessions, step: Callable[[Session], T]) -> T:
    with reading(sessions) as session:
        return step(session)


def _in_transaction(sessions: Sessions, step: Callable[[Session], T]) -> T:
    with transaction(sessions) as session:
        return step(session)


def open_context(settings: Settings, *, child: str = "worker.tensors") -> Context:
    """Connect to everything that the settings name; `child` is the tensor process's module."""
    make_folder(settings.data_dir)
    weights.tell_absent_folder(settings)
    engine = open_engine(settings.database)
    sessions = make_sessions(engine)
    storage = open_storage(settings)
    return Context(
        settings=settings,
        engine=engine,
        sessions=sessions,
        storage=storage,
        cache=EmbeddingCache(sessions, storage, quota=settings.embedding_cache_bytes),
        doorbell=open_doorbell(settings),
        bell=Bell(engine),
        child=TensorProcess(
            weights_dir=settings.weights_dir,
            engines_dir=settings.data_dir / "engines",
            threads=len(os.sched_getaffinity(0)),
            precision=settings.precision,
            module=child,
        ),
        stop=Stop(settings.drain_seconds),
        pulse=Pulse(settings.data_dir / "run"),
    )
