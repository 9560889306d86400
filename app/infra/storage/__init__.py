"""Storage: four verbs over a local folder or an S3-compatible store.

`put` is atomic: the whole file is there under its key, durable, or nothing is. Keys are relative
paths that our own code makes; content from outside never names a key.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from app.core.errors import HeadstartError
from app.infra import storage_keys
from app.infra.settings import Settings
from app.infra.storage.files import (
    OLD_SECONDS,
    SCRATCH,
    full_disk,
    is_intact,
    place,
    scratch,
    sha256_of,
    storage_errors,
    sweep,
    sync,
    trim,
)
from app.infra.storage.local import LocalStorage
from app.infra.storage.lost import DamagedError, MissingError, lasting, lost_key
from app.infra.storage.remote import S3Storage

__all__ = [
    "OLD_SECONDS",
    "DamagedError",
    "LocalStorage",
    "MissingError",
    "S3Storage",
    "Storage",
    "fetch_manifest",
    "full_disk",
    "is_intact",
    "lasting",
    "lost_key",
    "open_storage",
    "place",
    "scratch",
    "sha256_of",
    "staging",
    "storage_errors",
    "sweep",
    "sweep_scratch",
    "sync",
    "tidy",
    "trim",
]
_CACHE = "storage-cache"


class Storage(Protocol):
    """Where packs, manifests, embeddings and heads live."""

    def put(self, key: str, source: Path) -> None:
        """Store `source` under `key`; the local file may be moved.

        Raises storage_full, and storage_unavailable where it is not kept.
        """

    def fetch(self, key: str) -> Path:
        """A local, read-only path with the content of `key`. Raises MissingError, and
        DamagedError where another than was put comes over the network.
        """

    def delete(self, key: str) -> None:
        """Forget `key`; it need not exist."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key under the folder `prefix`."""


def open_storage(settings: Settings) -> Storage:
    """The storage that the settings name."""
    if settings.storage_url:
        return S3Storage(
            settings.storage_url,
            endpoint=settings.storage_endpoint,
            cache=settings.data_dir / _CACHE,
            cache_bytes=settings.storage_cache_bytes,
        )
    return LocalStorage(settings.data_dir / "storage")


def staging(settings: Settings) -> Path:
    """The folder for half-written things, on the same file system as the local storage."""
    folder = settings.data_dir / "staging"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def tidy(settings: Settings, storage: Storage) -> int:
    """Remove what killed processes left half-written, and copies of what was deleted elsewhere.

    The number of things removed. Raises storage_unavailable.
    """
    dropped = storage.drop_deleted() if isinstance(storage, S3Storage) else 0
    return dropped + sweep_scratch(settings)


def sweep_scratch(settings: Settings) -> int:
    """Remove what killed processes left half-written; the number of things removed."""
    cache = settings.data_dir / _CACHE
    return sweep(staging(settings)) + sweep(cache, f"{SCRATCH}*")


def fetch_manifest(storage: Storage, organisation_id: str, sha256: str) -> Path:
    """A local, read-only file of a manifest, which is what its name says.

    Raises storage_unavailable where it is gone, and dataset_corrupt.
    """
    try:
        path = storage.fetch(storage_keys.manifest(organisation_id, sha256))
        intact = is_intact(path, sha256)
    except FileNotFoundError as error:
        raise HeadstartError(
            "storage_unavailable", "a part of this dataset cannot be read", retry_after=5
        ) from error
    if not intact:
        why = "its list of examples is not what was stored: restore it, or upload the dataset again"
        raise HeadstartError("dataset_corrupt", why, retry_after=60)
    return path
