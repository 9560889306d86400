"""Packs, manifests and plain files in storage: put before the rows that name them, removed after.

Each is named by a hash that no other ever has, and held in the database from before it is put until
a row names it (`repositories.holds`), so that no other process takes it for garbage meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog
from sqlalchemy.orm import Session

from app.core import manifest
from app.core.errors import HeadstartError
from app.core.manifest import Example
from app.http.dependencies import Services
from app.infra import erasure, storage_keys
from app.infra.database import repeated
from app.infra.orm import DatasetVersionRow
from app.infra.repositories import holds
from app.infra.storage import fetch_manifest

log = structlog.get_logger()


class Hold:
    """Files in storage that no row names yet; `release` belongs into the transaction that does."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys
        self.released = False

    def release(self, session: Session) -> None:
        """From the commit on, rows name the files. Raises storage_unavailable if it is too late."""
        holds.release(session, self._keys)
        self.released = True


@contextmanager
def stored(services: Services, files: Mapping[str, Path]) -> Iterator[Hold]:
    """Put `files` under keys of their own; taken back unless the block commits their release."""
    keys = list(files)
    repeated(services.sessions, lambda session: holds.take(session, keys))
    hold = Hold(keys)
    try:
        for key, path in files.items():
            services.storage.put(key, path)
        yield hold
    except BaseException:
        _take_back(services, keys)
        raise
    if not hold.released:
        _take_back(services, keys)


def _take_back(services: Services, keys: Sequence[str]) -> None:
    """Delete what is held still: a commit whose answer was lost has ended the hold, or never will.

    What cannot be deleted now, the sweeper collects.
    """
    try:
        unnamed = repeated(services.sessions, lambda session: holds.drop(session, keys))
    except HeadstartError as error:
        log.warning("blobs are left to the sweeper", keys=keys, reason=error)
    else:
        erasure.delete(services.storage, unnamed)


def open_manifest(services: Services, version: DatasetVersionRow) -> Path:
    """A local file of the version's manifest. Raises storage_unavailable, dataset_corrupt."""
    return fetch_manifest(services.storage, version.organisation_id, version.manifest_sha256)


def load_manifest(services: Services, version: DatasetVersionRow) -> list[Example]:
    """All examples of a version, excluded ones too."""
    return list(manifest.load(open_manifest(services, version).read_bytes()))


def paths(services: Services, version: DatasetVersionRow) -> list[str]:
    """The paths of all examples of a version."""
    return [one.path for one in load_manifest(services, version)]


def open_pack(services: Services, organisation_id: str, sha256: str) -> Path:
    """A local file of a pack. Raises storage_unavailable."""
    return _fetch(services, storage_keys.pack(organisation_id, sha256))


def check(services: Services, organisation_id: str, examples: Iterable[Example]) -> None:
    """Hold the examples' bytes against their hashes, before any of them leaves the service.

    Raises storage_unavailable, dataset_corrupt.
    """
    by_pack: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        by_pack[example.pack].append(example)
    for pack, some in by_pack.items():
        with open_pack(services, organisation_id, pack).open("rb") as file:
            for example in sorted(some, key=lambda one: one.offset):
                file.seek(example.offset)
                manifest.checked(file.read(example.length), example.sha256)


def _fetch(services: Services, key: str) -> Path:
    try:
        return services.storage.fetch(key)
    except FileNotFoundError as error:
        raise HeadstartError(
            "storage_unavailable", "a part of this dataset cannot be read", retry_after=5
        ) from error
