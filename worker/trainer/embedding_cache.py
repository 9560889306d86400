"""The embedding cache: append-only fp16 segments in storage, an index in the database, a quota.

A segment is written before its index row and deleted after it, so the index never points at
nothing for long; where it does (another host evicted it, a file was lost, or is not what was
written), the row is dropped and the example is embedded again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
from sqlalchemy.orm import Session

from app.core.ids import new_id
from app.core.manifest import Example, windowed
from app.infra import erasure, storage_keys
from app.infra.database import Sessions, reading, transaction
from app.infra.orm import SegmentRow
from app.infra.repositories import deletions, embeddings, usage
from app.infra.repositories.embeddings import Place
from app.infra.repositories.usage import Kind
from app.infra.storage import DamagedError, Storage, is_intact, scratch, sha256_of
from worker.formats import segments

log = structlog.get_logger()
SMALL_BYTES = 8 * 2**20
MANY = 32
MOST_BYTES = 64 * 2**20
"""Of segments merged at once: they are held in memory."""
KEPT_SHARE = 0.9

_Rows = Mapping[str, Sequence[tuple[str, int]]]
"""(sha256, row) of what is indexed in each segment."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Whose embeddings, and made how: `key` says weights, view, preprocessing and precision."""

    organisation_id: str
    key: str
    window: int = 0
    """Bytes of a text that surely fit into one window of its encoder; 0 for images."""

    def row_of(self, example: Example) -> str:
        """The name of an example's row."""
        long = 0 < self.window < example.length
        return windowed(example.sha256) if long else example.sha256

    def file(self, segment_id: str) -> str:
        """The storage key of a segment."""
        return storage_keys.segment(self.organisation_id, self.key, segment_id)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stored file whose row i embeds `sha256s[i]`, before it is indexed."""

    id: str
    scope: Scope
    sha256s: Sequence[str]
    size: int
    digest: str
    """The file's sha256."""


class EmbeddingCache:
    """Finds, stores, evicts and compacts; every method that writes rows says which transaction."""

    def __init__(self, sessions: Sessions, storage: Storage, *, quota: int) -> None:
        self._sessions = sessions
        self._storage = storage
        self._quota = quota

    def find(self, scope: Scope, sha256s: Iterable[str]) -> dict[str, Place]:
        """Where each known content's embedding lies."""
        with reading(self._sessions) as session:
            return embeddings.find(
                session, organisation_id=scope.organisation_id, key=scope.key, sha256s=sha256s
            )

    def locate(self, scope: Scope, places: dict[str, Place]) -> dict[str, Path]:
        """A local file for each segment of `places`; places in lost segments are taken out, and
        those in damaged ones.
        """
        rows: dict[str, int] = {}
        for segment_id, row in places.values():
            rows[segment_id] = max(rows.get(segment_id, 0), row + 1)
        with reading(self._sessions) as session:
            digests = embeddings.digests(session, rows)
        paths: dict[str, Path] = {}
        lost: set[str] = set()
        for segment_id in sorted(rows):
            key, digest = scope.file(segment_id), digests.get(segment_id)
            path = self._whole(key, digest, rows=rows[segment_id])
            if path is None:
                lost.add(segment_id)
            else:
                paths[segment_id] = path
        self._forget(lost, places)
        return paths

    def _whole(self, key: str, digest: str | None, *, rows: int) -> Path | None:
        """A local file of a segment; None where it is lost, is not what was written or has numbers
        that are not finite, or, of one of before its hash was kept, has not so many rows.
        """
        try:
            path = self._storage.fetch(key)
            whole = segments.has_rows(path, rows) if digest is None else is_intact(path, digest)
            whole = whole and segments.is_finite(path)
        except FileNotFoundError:
            return None
        except DamagedError:
            whole = False
        if not whole:
            log.warning("embeddings are damaged and will be made again", key=key)
        return path if whole else None

    def _forget(self, lost: set[str], places: dict[str, Place]) -> None:
        for sha256 in [sha256 for sha256, (segment, _) in places.items() if segment in lost]:
            del places[sha256]
        if lost:
            with transaction(self._sessions) as session:
                embeddings.drop(session, lost)

    def put(
        self, scope: Scope, file: Path, sha256s: Sequence[str], *, storage: Storage | None = None
    ) -> Segment:
        """Store a file of [n, dim] fp16 rows, by way of `storage`, where an attempt has one of its
        own; `index` it in the transaction that uses it."""
        segment = Segment(
            id=new_id("seg_"),
            scope=scope,
            sha256s=sha256s,
            size=file.stat().st_size,
            digest=sha256_of(file),
        )
        (storage or self._storage).put(scope.file(segment.id), file)
        return segment

    @staticmethod
    def index(session: Session, segment: Segment, *, used_at: float | None = None) -> None:
        """Make a stored segment findable, last used at `used_at` or, as it is new, now."""
        if used_at is None:
            kind: Kind = "embedded_texts" if segment.scope.window else "embedded_images"
            whose = segment.scope.organisation_id, kind, ""
            usage.add(session, {whose: len(segment.sha256s)})
        embeddings.add_segment(
            session,
            segment.id,
            organisation_id=segment.scope.organisation_id,
            key=segment.scope.key,
            sha256s=segment.sha256s,
            size=segment.size,
            digest=segment.digest,
            used_at=used_at,
        )

    def evict(self) -> int:
        """Drop segments, of whoever holds most, until 90% of the quota is left; bytes freed."""
        with reading(self._sessions) as session:
            total = embeddings.total_bytes(session)
        if total <= self._quota:
            return 0
        with transaction(self._sessions) as session:
            excess = embeddings.total_bytes(session) - int(KEPT_SHARE * self._quota)
            victims = embeddings.to_evict(session, excess=excess)
            embeddings.drop(session, [segment.id for segment in victims])
            _note_files(session, victims)
        self._delete_files(victims)
        return sum(segment.bytes for segment in victims)

    def compact(self, staging: Path) -> int:
        """Rewrite the worn segments of one cache, or merge small ones; how many were dealt with.

        What is written has no dead rows, those that nothing indexes any more or ever did.
        """
        with reading(self._sessions) as session:
            old = embeddings.worn(session, many=MANY, most=MOST_BYTES)
            old = old or embeddings.fragmented(
                session, small=SMALL_BYTES, many=MANY, most=MOST_BYTES
            )
            rows = embeddings.rows_of(session, [segment.id for segment in old])
        whole = [one.id for one in old if one.worn_at is not None and self._is_whole(one, rows)]
        if whole:
            return self._mend({segment_id: rows[segment_id] for segment_id in whole})
        return self._rewrite(old, rows, staging) if old else 0

    def _is_whole(self, segment: SegmentRow, rows: _Rows) -> bool:
        """Whether every row of the file is indexed after all."""
        scope = Scope(organisation_id=segment.organisation_id, key=segment.key)
        path = self._whole(scope.file(segment.id), segment.sha256, rows=0)
        return path is not None and len(segments.load(path)) == len(rows[segment.id])

    def _mend(self, rows: _Rows) -> int:
        with transaction(self._sessions) as session:
            if embeddings.rows_of(session, list(rows), lock=True) != rows:
                return 0
            embeddings.mend(session, rows)
        return len(rows)

    def _rewrite(self, old: Sequence[SegmentRow], rows: _Rows, staging: Path) -> int:
        scope = Scope(organisation_id=old[0].organisation_id, key=old[0].key)
        with scratch(staging) as folder:
            merged = self._merge(scope, rows, folder / "merged.npy")
        replaced = self._replace(rows, merged)
        self._delete_files(old)
        return len(old) if replaced else 0

    def _replace(self, rows: _Rows, merged: Segment | None) -> bool:
        """Index `merged` in place of the segments of `rows`, unless something there has changed."""
        ids = list(rows)
        with transaction(self._sessions) as session:
            unchanged = embeddings.rows_of(session, ids, lock=True) == rows
            old = embeddings.lock_segments(session, ids)
            if not unchanged or len(old) < len(ids):
                if merged is not None:
                    _note_file(session, merged.scope, merged.id)
                return False
            embeddings.drop(session, ids)
            _note_files(session, old)
            if merged is not None:
                self.index(session, merged, used_at=max(segment.last_used_at for segment in old))
        return True

    def _merge(self, scope: Scope, rows: _Rows, file: Path) -> Segment | None:
        places = {sha: (segment, row) for segment, some in rows.items() for sha, row in some}
        paths = self.locate(scope, places)
        parts = [
            segments.load(path)[[row for _, row in rows[segment]]]
            for segment, path in paths.items()
            if rows[segment]
        ]
        sha256s = [sha for segment in paths for sha, _ in rows[segment]]
        if not parts:
            return None
        segments.save(file, np.concatenate(parts))
        return self.put(scope, file, sha256s)

    def _delete_files(self, segments: Iterable[SegmentRow]) -> None:
        """Of segments that are no more; what cannot go now, a later chore deletes."""
        for organisation_id in {segment.organisation_id for segment in segments}:
            erasure.remove_files(self._sessions, self._storage, organisation_id)


def _note_files(session: Session, segments: Iterable[SegmentRow]) -> None:
    for segment in segments:
        scope = Scope(organisation_id=segment.organisation_id, key=segment.key)
        _note_file(session, scope, segment.id)


def _note_file(session: Session, scope: Scope, segment_id: str) -> None:
    """A deletion is done only once such files are gone, too: they may hold what it forgot."""
    deletions.note_files(session, [scope.file(segment_id)], organisation_id=scope.organisation_id)
