"""From a name to the immutable model it means: remembered for less than a second, asked in bulk.

While one query runs, all further questions gather and go into the next, so that ten thousand rarely
used models cost a prediction microseconds, not a query each.
"""

from __future__ import annotations

import asyncio
import time

from anyio import to_thread

from app.core.errors import HeadstartError
from app.infra.database import Sessions, reading
from app.infra.repositories.targets import Name, NotReady, ResolvedModel, find_all

_SECONDS = 0.8
_AT_ONCE = 500
_MOST = 50_000


class Resolver:
    """One a process; event loop's thread only."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._known: dict[Name, tuple[float, ResolvedModel]] = {}
        self._asked: dict[Name, asyncio.Future[ResolvedModel | NotReady | None]] = {}
        self._asker: asyncio.Task[None] | None = None
        self._generation = 0

    def recall(self, organisation_id: str, name: str) -> ResolvedModel | None:
        """What the name meant within the last second, if anybody asked."""
        entry = self._known.get((organisation_id, name))
        if entry is None or entry[0] < time.monotonic():
            return None
        return entry[1]

    async def resolve(self, organisation_id: str, name: str) -> ResolvedModel:
        """The model. Raises not_found, not_ready for a job without one, database_unavailable."""
        known = self.recall(organisation_id, name)
        if known is not None:
            return known
        resolved = await self._ask((organisation_id, name))
        if resolved is None:
            raise HeadstartError("not_found", "there is no such model", param="model")
        if isinstance(resolved, NotReady):
            raise HeadstartError(
                "not_ready", f"the job is {resolved.status} and has no model", param="model"
            )
        return resolved

    def forget(self) -> None:
        """An alias moved or a model went, by this process: ask again."""
        self._known.clear()
        self._generation += 1

    async def _ask(self, name: Name) -> ResolvedModel | NotReady | None:
        future = self._asked.get(name)
        if future is None:
            future = self._asked[name] = asyncio.get_running_loop().create_future()
            if self._asker is None:
                self._asker = asyncio.create_task(self._run())
        return await asyncio.shield(future)

    async def _run(self) -> None:
        try:
            while self._asked:
                asked = dict(list(self._asked.items())[:_AT_ONCE])
                for name in asked:
                    del self._asked[name]
                await self._answer(asked)
        finally:
            self._asker = None

    async def _answer(
        self, asked: dict[Name, asyncio.Future[ResolvedModel | NotReady | None]]
    ) -> None:
        until, generation = time.monotonic() + _SECONDS, self._generation
        try:
            resolved = await to_thread.run_sync(self._look_up, list(asked))
        except Exception as error:  # noqa: BLE001  # whatever it is, somebody waits for it
            for future in asked.values():
                future.set_exception(error)
                future.exception()  # those who asked may all have gone
            return
        if generation == self._generation:  # else a query may have read what has changed since
            self._remember(resolved, until)
        for name, future in asked.items():
            future.set_result(resolved.get(name))

    def _look_up(self, names: list[Name]) -> dict[Name, ResolvedModel | NotReady]:
        with reading(self._sessions) as session:
            return find_all(session, names)

    def _remember(self, resolved: dict[Name, ResolvedModel | NotReady], until: float) -> None:
        if len(self._known) + len(resolved) > _MOST:
            self._known.clear()
        for name, what in resolved.items():
            if isinstance(what, ResolvedModel):
                self._known[name] = (until, what)
