"""Collects files that no row refers to: a killed worker's artifacts, a deleted dataset's packs.

No key but an export's, which is a cache, is ever given twice, so what nobody needs once will never
be needed: artifacts and results
carry their fence, and are garbage as soon as no row names them and their work does not run under
it; packs and manifests are held until a row names them. Those, and segments, which have no such
mark, must also have been without a row in two sweeps an hour apart. Each key is looked up again
right before its file goes: a row may have come since the listing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from app.infra import storage_keys
from app.infra.database import Sessions, reading, transaction
from app.infra.repositories import holds, references
from app.infra.storage import Storage

GRACE_SECONDS = 3600.0
_GRACED = (
    storage_keys.PACKS,
    storage_keys.MANIFESTS,
    storage_keys.SEGMENTS,
    storage_keys.RESULTS,
    storage_keys.PROBES,
    storage_keys.FILES,
    storage_keys.PARTS,
    storage_keys.PIECES,
    storage_keys.LIVE,
    storage_keys.TUNINGS,
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

    def end_holds(self) -> int:
        """Delete what killed uploads have left, once their holds run out; the number of files.

        Whoever is killed in between leaves them to `sweep`.
        """
        with transaction(self._sessions) as session:
            ended = holds.expire(session)
        return sum(self._delete(key) for key in ended)

    def sweep(self) -> int:
        """Delete what is garbage; the number of files."""
        listed = [
            key
            for folder in (storage_keys.ARTIFACTS, *_GRACED)
            for key in self._storage.keys(folder)
        ]
        ended = self.end_holds()
        with reading(self._sessions) as session:
            unnamed = references.unnamed(session, listed)
        fenced = {key for key in unnamed if key.partition("/")[0] == storage_keys.ARTIFACTS}
        garbage = [*fenced, *self._ripe(unnamed - fenced)]
        return ended + sum(self._delete(key) for key in sorted(garbage))

    def _ripe(self, unreferenced: set[str]) -> list[str]:
        """Those that were suspects for the whole grace."""
        at = self._clock()
        self._suspects = {key: self._suspects.get(key, at) for key in unreferenced}
        return [key for key, since in self._suspects.items() if at - since >= self._grace]

    def _delete(self, key: str) -> bool:
        """Delete a file, unless it is needed after all."""
        with reading(self._sessions) as session:
            needed = references.is_needed(session, key)
        if not needed:
            self._storage.delete(key)
        self._suspects.pop(key, None)
        return not needed
