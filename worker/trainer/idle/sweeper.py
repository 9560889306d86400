"""Collects files that no row refers to: a killed worker's artifacts, a deleted dataset's packs.

Artifacts carry their fence: one is garbage as soon as no model names it and its job's work is not
running under that very fence. An export is a cache: it goes a day after it was made. Packs,
manifests and segments have no such mark and are stored before their rows, so they must have been
without a row in two sweeps an hour apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from sqlalchemy import literal, select
from sqlalchemy.orm import Session

from app.core.job_state import TERMINAL
from app.infra import storage_keys
from app.infra.database import Sessions, reading
from app.infra.orm import BatchPartRow, BatchRow, DatasetVersionRow, ModelRow, SegmentRow, WorkRow
from app.infra.repositories import exports
from app.infra.storage import Storage
from worker.trainer.model_card import name_of

GRACE_SECONDS = 3600.0
_OTHERS = (
    storage_keys.PACKS,
    storage_keys.MANIFESTS,
    storage_keys.SEGMENTS,
    storage_keys.RESULTS,
)


class Sweeper:
    """Remembers what it saw without a row, and since when."""

    def __init__(
        self,
        sessions: Sessions,
        storage: Storage,
        *,
        grace: float = GRACE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._storage = storage
        self._grace = grace
        self._clock = clock
        self._suspects: dict[str, float] = {}

    def sweep(self) -> int:
        """Delete what is garbage; the number of files."""
        artifacts = list(self._storage.keys(storage_keys.ARTIFACTS))
        others = [key for folder in _OTHERS for key in self._storage.keys(folder)]
        with reading(self._sessions) as session:
            garbage = _unregistered(session, artifacts)
            unreferenced = _unreferenced(session, others)
        garbage += self._ripe(unreferenced)
        for key in garbage:
            self._storage.delete(key)
        return len(garbage)

    def _ripe(self, unreferenced: set[str]) -> list[str]:
        """Those that were suspects for the whole grace."""
        at = self._clock()
        self._suspects = {key: self._suspects.get(key, at) for key in unreferenced}
        ripe = [key for key, since in self._suspects.items() if at - since >= self._grace]
        for key in ripe:
            del self._suspects[key]
        return ripe


def _unregistered(session: Session, artifacts: Iterable[str]) -> list[str]:
    """Artifacts that neither a model names nor a running attempt is about to register."""
    registered = set(session.scalars(select(ModelRow.artifact)))
    running = session.execute(
        select(WorkRow.job_id, WorkRow.fence).where(
            WorkRow.state == "running", WorkRow.job_id.is_not(None)
        )
    )
    open_attempts = {(name_of(str(job_id)), str(fence)) for job_id, fence in running}
    exported = exports.kept(session)
    return [
        key
        for key in artifacts
        if key not in exported
        and _folder(key) not in registered
        and tuple(key.split("/")[2:4]) not in open_attempts
    ]


def _folder(key: str) -> str:
    return key.rpartition("/")[0]


def _unreferenced(session: Session, keys: Iterable[str]) -> set[str]:
    """Packs, manifests, segments and results that no row names.

    What a batch has uploaded goes once it has ended; its manifest says what to forget with it.
    """
    named: set[str] = set(session.scalars(select(BatchPartRow.key)))
    ended = BatchRow.status.in_(TERMINAL)
    for table, over in ((DatasetVersionRow, literal(False)), (BatchRow, ended)):
        held = select(table.organisation_id, table.manifest_sha256, table.packs, over)
        for organisation, manifest, packs, needless in session.execute(held):
            named.add(storage_keys.manifest(organisation, manifest))
            if not needless:
                named |= {storage_keys.pack(organisation, pack) for pack in packs}
    for row in session.execute(select(SegmentRow.organisation_id, SegmentRow.key, SegmentRow.id)):
        named.add(storage_keys.segment(*row))
    return set(keys) - named
