"""Packs and manifests in storage: put before the rows that name them, removed after those are gone.

Content names a blob, so two uploads may share one. While an upload of this process holds a key,
nobody takes it away; the last one that fails to be committed clears up.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import structlog

from app.core import manifest
from app.core.errors import HeadstartError
from app.core.manifest import Example
from app.http.dependencies import Services
from app.infra import storage_keys
from app.infra.database import reading
from app.infra.orm import DatasetVersionRow
from app.infra.repositories import datasets

log = structlog.get_logger()
_lock = threading.Lock()
_held: Counter[str] = Counter()
_SHA256 = re.compile(rb'"sha256":"([0-9a-f]{64})"')


@contextmanager
def stored(services: Services, organisation_id: str, files: Mapping[str, Path]) -> Iterator[None]:
    """Put `files` under their keys; taken back, if no version names them, when the block fails."""
    with _lock:
        _held.update(list(files))
    try:
        for key, path in files.items():
            services.storage.put(key, path)
        yield
    except BaseException:
        _release(files)
        discard(services, organisation_id, files)
        raise
    _release(files)


def discard(services: Services, organisation_id: str, keys: Iterable[str]) -> None:
    """Delete the blobs that no version names and no upload of this process holds."""
    try:
        for key in keys:
            with _lock, reading(services.sessions) as session:
                kind, _, name = key.split("/")
                sha256 = name.partition(".")[0]
                if not _held[key] and not datasets.is_referenced(
                    session, kind, sha256, organisation_id=organisation_id
                ):
                    services.storage.delete(key)
    except (HeadstartError, OSError) as error:
        log.warning("blobs are left behind", keys=list(keys), reason=str(error))


def forget(services: Services, keys: Iterable[str]) -> None:
    """Delete files whose rows are gone; what cannot be deleted now, the sweeper collects."""
    try:
        for key in keys:
            services.storage.delete(key)
    except (HeadstartError, OSError) as error:
        log.warning("files are left to the sweeper", reason=str(error))


def _release(keys: Iterable[str]) -> None:
    with _lock:
        _held.subtract(list(keys))
        for key in [key for key in keys if _held[key] <= 0]:
            del _held[key]


def open_manifest(services: Services, version: DatasetVersionRow) -> Path:
    """A local file of the version's manifest. Raises storage_unavailable."""
    return _fetch(services, storage_keys.manifest(version.organisation_id, version.manifest_sha256))


def load_manifest(services: Services, version: DatasetVersionRow) -> list[Example]:
    """All examples of a version, excluded ones too."""
    return list(manifest.load(open_manifest(services, version).read_bytes()))


def open_pack(services: Services, organisation_id: str, sha256: str) -> Path:
    """A local file of a pack. Raises storage_unavailable."""
    return _fetch(services, storage_keys.pack(organisation_id, sha256))


def _fetch(services: Services, key: str) -> Path:
    try:
        return services.storage.fetch(key)
    except FileNotFoundError as error:
        raise HeadstartError(
            "storage_unavailable", "a part of this dataset cannot be read", retry_after=5
        ) from error


def contents_of(services: Services, organisation_id: str, manifest_sha256: str) -> set[bytes]:
    """The hashes that a manifest names; none if it is gone, as its dataset then is too."""
    try:
        path = services.storage.fetch(storage_keys.manifest(organisation_id, manifest_sha256))
    except FileNotFoundError:
        return set()
    return set(_hashes(path))


def _hashes(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        for line in file:
            if found := _SHA256.search(line):
                yield found[1]
