"""Forgetting what only deleted things had: files, embeddings, then the lists of contents.

Whoever deletes rows notes in that transaction what is to go (`repositories.deletions`), and then
does it; what a killed process has not done, a trainer does. An erasure looks for who else has a
content after its own rows are gone, so that of two deletions that share one the later forgets it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.infra import storage_keys
from app.infra.database import Sessions, fold_log, reading, transaction
from app.infra.repositories import batches, datasets, deletions, embeddings, erasures, references
from app.infra.repositories.live import log as live_log
from app.infra.storage import Storage

log = structlog.get_logger()
_AT_ONCE = 500
"""Contents or logged inputs forgotten in one transaction: other writers wait for no more."""
_FILES_AT_ONCE = 200
_SHA256 = re.compile(rb'"sha256":"([0-9a-f]{64})"')


def finish(sessions: Sessions, storage: Storage, organisation_id: str) -> int:
    """Do what the organisation's deletions have left to do; how many erasures there were.

    Raises storage_unavailable where contents could not be looked up.
    """
    with reading(sessions) as session:
        pending = erasures.pending(session, organisation_id)
        others = datasets.manifests(session, organisation_id=organisation_id)
        others |= batches.own_manifests(session, organisation_id=organisation_id)
        whose = {"organisation_id": organisation_id}
        ends = {
            row.id: row.created_at
            for row in deletions.unfinished(session, deletions.ORGANISATION, **whose)
        }
        models = {
            row.id: row.object_id for row in deletions.unfinished(session, deletions.MODEL, **whose)
        }
    for deletion_id, noted in pending.items():
        _Unfinished(sessions, storage, organisation_id, deletion_id).erase(noted, others)
    for deletion_id, at in ends.items():
        _Unfinished(sessions, storage, organisation_id, deletion_id).drop_segments(at)
    for deletion_id, model_id in models.items():
        _Unfinished(sessions, storage, organisation_id, deletion_id).drop_log(model_id)
    remove_files(sessions, storage, organisation_id)
    settle(sessions)
    return sum(map(len, pending.values()))


def settle(sessions: Sessions) -> None:
    """Finish the deletions of which nothing is left: no row either, nor its bytes in SQLite's file
    or log. While a reader keeps the log, they are not done.
    """
    if fold_log(sessions):
        with transaction(sessions) as session:
            deletions.settle(session)


@dataclass(frozen=True)
class _Unfinished:
    """What one deletion, or none (empty), has left to do."""

    sessions: Sessions
    storage: Storage
    organisation_id: str
    deletion_id: str

    def erase(self, noted: Mapping[str, str], others: Iterable[str]) -> None:
        """Forget what its manifests name and no other does, and then those."""
        manifests = set(noted.values())
        contents, shared = _only_in(self.storage, self.organisation_id, manifests, others)
        for start in range(0, len(contents), _AT_ONCE):
            self._forget(contents[start : start + _AT_ONCE])
        with transaction(self.sessions) as session:
            if not erasures.drop(session, noted, organisation_id=self.organisation_id):
                return
            files = [storage_keys.manifest(self.organisation_id, name) for name in manifests]
            self._note(session, files, removed={"contents": len(contents)})
            self._count(session, kept={"contents": shared}, forgotten=True)

    def _forget(self, contents: Sequence[str]) -> None:
        with transaction(self.sessions) as session:
            dropped, empty = datasets.forget_embeddings(
                session, contents, organisation_id=self.organisation_id
            )
            files = [storage_keys.segment(self.organisation_id, one.key, one.id) for one in empty]
            self._note(session, files, removed={"embeddings": dropped})

    def drop_segments(self, at: float) -> None:
        """Forget what was embedded before all that the organisation held was deleted, at `at`."""
        while self._drop_segment(at):
            pass

    def _drop_segment(self, at: float) -> bool:
        with transaction(self.sessions) as session:
            one = embeddings.one_before(session, at, organisation_id=self.organisation_id)
            if one is None:
                return False
            rows = len(embeddings.rows_of(session, [one.id])[one.id])
            embeddings.drop(session, [one.id])
            file = storage_keys.segment(self.organisation_id, one.key, one.id)
            self._note(session, [file], removed={"embeddings": rows})
        return True

    def drop_log(self, model_id: str) -> None:
        """Forget what was written down of a model that has gone: nobody adds to that."""
        which = live_log.whose(self.organisation_id, alias="", model_id=model_id)
        gone = _AT_ONCE
        while gone == _AT_ONCE:
            with transaction(self.sessions) as session:
                gone, files = live_log.drop(session, which, limit=_AT_ONCE)
                self._note(session, files, removed={"logged_predictions": gone})

    def _note(self, session: Session, files: Iterable[str], *, removed: Mapping[str, int]) -> None:
        deletions.note_files(
            session, files, organisation_id=self.organisation_id, deletion_id=self.deletion_id
        )
        self._count(session, removed=removed)

    def _count(self, session: Session, **more: Any) -> None:
        deletions.count(session, self.deletion_id, organisation_id=self.organisation_id, **more)

    def remove(self, noted: Sequence[str]) -> None:
        """Delete some of its files, or folders of them."""
        keys = list(dict.fromkeys(key for one in noted for key in _in(self.storage, one)))
        with reading(self.sessions) as session:
            needless = [key for key in keys if not references.is_needed(session, key)]
        for key in needless:
            self.storage.delete(key)
        with transaction(self.sessions) as session:
            whose = {"organisation_id": self.organisation_id}
            if deletions.strike_out(session, self.deletion_id, noted, **whose):
                kept = {"files": len(keys) - len(needless)}
                self._count(session, removed={"files": len(needless)}, kept=kept)


def _only_in(
    storage: Storage, organisation_id: str, manifests: Iterable[str], others: Iterable[str]
) -> tuple[list[str], int]:
    """The contents that these manifests name and no other, and how many others do name."""
    contents: set[bytes] = set()
    for manifest in manifests:
        contents.update(_contents(storage, organisation_id, manifest))
    total = len(contents)
    for manifest in others:
        if contents:
            contents.difference_update(_contents(storage, organisation_id, manifest))
    return sorted(content.decode() for content in contents), total - len(contents)


def _contents(storage: Storage, organisation_id: str, manifest: str) -> Iterator[bytes]:
    """The hashes that a manifest names; none if it is gone: somebody else has done its erasure."""
    try:
        path = storage.fetch(storage_keys.manifest(organisation_id, manifest))
        yield from _hashes(path)
    except FileNotFoundError:
        return


def _hashes(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if match := _SHA256.search(line):
                yield match[1]


def remove_files(sessions: Sessions, storage: Storage, organisation_id: str) -> None:
    """Delete the files that rows have ceased to name; what cannot go now, a trainer deletes."""
    try:
        with reading(sessions) as session:
            noted = deletions.noted_files(session, organisation_id)
        for deletion_id, keys in noted.items():
            part = _Unfinished(sessions, storage, organisation_id, deletion_id)
            for start in range(0, len(keys), _FILES_AT_ONCE):
                part.remove(keys[start : start + _FILES_AT_ONCE])
    except (HeadstartError, OSError) as error:
        log.warning("files are left to be deleted by a trainer", reason=error)


def _in(storage: Storage, noted: str) -> list[str]:
    """A file, or those of a folder."""
    return list(storage.keys(noted.rstrip("/"))) if noted.endswith("/") else [noted]


@dataclass(frozen=True)
class Shortened:
    """A deletion to come, and how many inputs of a log have gone for it already."""

    deletion_id: str
    inputs: int


def shorten_log(sessions: Sessions, *, organisation_id: str, alias: str = "") -> Shortened:
    """Delete what was written down of an alias, or of all, some at a time, but for the last of it.

    Whoever is about to delete the alias or its log does this first: a log may have millions of
    rows, and on SQLite nobody else writes while one transaction deletes them. It must be decided
    by then: what comes after is not refused. Of an alias it goes before, since the name may be
    used again at once. Their files are noted for the deletion that is to come. Who is killed
    meanwhile has answered nobody: the rest of the log is there, and the noted files go.
    """
    which = live_log.whose(organisation_id, alias=alias, model_id=None)
    deletion_id, inputs = new_id(deletions.PREFIX), 0
    while True:
        with transaction(sessions) as session:
            if not live_log.has_more(session, which, than=_AT_ONCE):
                return Shortened(deletion_id, inputs)
            gone, files = live_log.drop(session, which, limit=_AT_ONCE)
            deletions.note_files(
                session, files, organisation_id=organisation_id, deletion_id=deletion_id
            )
        inputs += gone


def delete(storage: Storage, keys: Iterable[str]) -> None:
    """Delete files whose rows are gone; what cannot be deleted now, the sweeper collects."""
    try:
        for key in keys:
            storage.delete(key)
    except (HeadstartError, OSError) as error:
        log.warning("files are left to the sweeper", reason=error)
