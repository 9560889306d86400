"""How each part of the service is, database and storage first; probes wait for no busy pool."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio
from anyio import CapacityLimiter, to_thread
from sqlalchemy import text

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.times import STALE_SECONDS
from app.infra import storage_keys
from app.infra.database import Sessions, reading
from app.infra.migrate import check_schema
from app.infra.predictor_client import PredictorClient
from app.infra.settings import Settings
from app.infra.storage import Storage, scratch, staging

SECONDS = 2.0
"""A check that takes longer has failed."""
_REMEMBERED_SECONDS = 1.0


class Probe:
    """Runs the checks one at a time, and remembers them a second: anybody may ask, at any rate."""

    def __init__(
        self,
        settings: Settings,
        sessions: Sessions,
        *,
        storage: Storage,
        predictor: PredictorClient,
    ) -> None:
        self._settings, self._sessions, self._storage = settings, sessions, storage
        self._predictor = predictor
        self._turn = anyio.Lock()
        self._threads = CapacityLimiter(4)
        self._outcomes: dict[str, str] = {}
        self._until = 0.0

    async def checks(self) -> dict[str, str]:
        """`ok`, or what is wrong, by name."""
        async with self._turn:
            if time.monotonic() >= self._until:
                self._outcomes = await self._look()
                self._until = time.monotonic() + _REMEMBERED_SECONDS
        return self._outcomes

    async def _look(self) -> dict[str, str]:
        outcomes: dict[str, str] = {}

        async def note(name: str, check: Callable[[], None]) -> None:
            outcomes[name] = await self._outcome(check)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(note, "database", self._check_database)
            tasks.start_soon(note, "storage", self._check_storage)
            if self._settings.broker_url.startswith(("redis", "unix")):
                tasks.start_soon(note, "broker", self._check_broker)
            if self._settings.embedded:  # elsewhere a trainer's own health check tells
                tasks.start_soon(note, "trainer", self._check_trainer)
            outcomes["predictor"] = "ok" if await self._predictor.ready() else "not ready"
        return dict(sorted(outcomes.items()))

    async def _outcome(self, check: Callable[[], None]) -> str:
        try:
            with anyio.fail_after(SECONDS):
                await to_thread.run_sync(check, limiter=self._threads, abandon_on_cancel=True)
        except TimeoutError:
            return f"no answer within {SECONDS:g} s"
        except HeadstartError as error:
            return error.message
        except OSError as error:
            return error.strerror or "cannot be written"
        return "ok"

    def _check_database(self) -> None:
        with reading(self._sessions) as session:
            check_schema(session.connection())
            session.execute(text("SELECT 1 FROM organisations LIMIT 1"))

    def _check_broker(self) -> None:
        """Without it work starts at a worker's next poll, POLL_SECONDS later at most."""
        from redis import Redis, RedisError  # only where there is a broker

        try:
            with Redis.from_url(self._settings.broker_url, socket_timeout=SECONDS) as broker:
                broker.ping()
        except RedisError as error:
            raise HeadstartError("internal", f"cannot be reached: {error}") from error

    def _check_trainer(self) -> None:
        beats = (self._settings.data_dir / "run").glob("trainer-*.alive")
        ages = [time.time() - beat.stat().st_mtime for beat in beats]
        if min(ages, default=STALE_SECONDS) >= STALE_SECONDS:
            raise HeadstartError("worker_lost", "no trainer looks for work")

    def _check_storage(self) -> None:
        key = storage_keys.probe(new_id("probe_"))
        with scratch(staging(self._settings)) as folder:
            source = folder / "probe"
            source.write_bytes(b"probe")
            self._storage.put(key, source)
        self._storage.delete(key)
