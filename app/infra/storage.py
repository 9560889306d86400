"""Storage: four verbs over a local folder or an S3-compatible store.

`put` is atomic: the whole file is there under its key, durable, or nothing is. Keys are relative
paths that our own code makes; content from outside never names a key.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from app.core.errors import HeadstartError
from app.infra import storage_keys
from app.infra.settings import Settings

OLD_SECONDS = 86_400.0
"""Nothing that a process still works on is left alone for so long."""
_CACHE = "storage-cache"
_SCRATCH = ".scratch-"
_EVERYTHING = ""
_S3_PATIENCE = {"connect_timeout": "5s", "read_timeout": "20s", "timeout": "15min"}
"""A store that says nothing for so long is away; one that sends slowly is not."""
_AWAY_SECONDS = 5.0
"""A failure that took longer was a stall, and for so long nobody asks again."""
_S3_RETRY = timedelta(seconds=15)
"""After so long a request is not tried again."""
_DIGEST = "sha256"
"""What an object's metadata call its hash."""
_UNSAID = "unsaid-"
"""Before a copy's hash where the store tells none: the object is of an earlier release, or what
came is not what it stands for."""
_UNSAID_SECONDS = 60.0
"""Such a copy is fetched anew after so long: a store's slip does not stay."""
_USED_SECONDS = 3600.0
"""Whether a copy is in use is known to so much; telling it costs its next reader a hash."""


class DamagedError(HeadstartError):
    """The store answers with something else than was put."""

    def __init__(self, key: str) -> None:
        why = f"the store answers with something else than was put under {key}; if it goes on so,"
        super().__init__(
            "storage_unavailable",
            f"{why} `headstart doctor --files` tells what is damaged",
            retry_after=_AWAY_SECONDS,
        )


class Storage(Protocol):
    """Where packs, manifests, embeddings and heads live."""

    def put(self, key: str, source: Path) -> None:
        """Store `source` under `key`; the local file may be moved. Raises storage_full."""

    def fetch(self, key: str) -> Path:
        """A local, read-only path with the content of `key`. Raises FileNotFoundError, and
        DamagedError where another than was put comes over the network.
        """

    def delete(self, key: str) -> None:
        """Forget `key`; it need not exist."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key under the folder `prefix`."""


class LocalStorage:
    """A folder on a local disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def put(self, key: str, source: Path) -> None:
        target = self._path(key)
        with storage_errors():
            target.parent.mkdir(parents=True, exist_ok=True)
            place(source, target)

    def fetch(self, key: str) -> Path:
        path = self._path(key)
        if not path.is_file():
            raise FileNotFoundError(key)
        return path

    def delete(self, key: str) -> None:
        path = self._path(key)
        path.unlink(missing_ok=True)
        for parent in path.parents:
            if parent == self.root or not _remove_empty(parent):
                return

    def _path(self, key: str) -> Path:
        if key.startswith("/") or ".." in key.split("/"):
            raise ValueError(f"a key leaves the storage: {key!r}")
        return self.root / key

    def keys(self, prefix: str) -> Iterator[str]:
        folders = os.walk(self.root / prefix)  # one that goes meanwhile is passed over
        for path in sorted(Path(folder, name) for folder, _, names in folders for name in names):
            if path.is_file() and not path.name.startswith("."):
                yield path.relative_to(self.root).as_posix()


class S3Storage:
    """An S3-compatible store, with a local folder of what was fetched.

    Each object's metadata tell its hash; what comes is held against it, and asked for once more
    where it is another. A copy is a file named by the hash of what came, in a folder named by the
    object's key, and is held against that before it is used.
    """

    def __init__(
        self,
        url: str,
        *,
        endpoint: str,
        cache: Path,
        cache_bytes: int = 20 * 2**30,
        retries: int = 4,
    ) -> None:
        from obstore.store import S3Store

        options = {"endpoint": endpoint} if endpoint else {}
        self.store = S3Store.from_url(
            url,
            client_options={"allow_http": endpoint.startswith("http://"), **_S3_PATIENCE},
            virtual_hosted_style_request=not endpoint,
            retry_config={"max_retries": retries, "retry_timeout": _S3_RETRY},
            **options,
        )
        self.cache = LocalStorage(cache)
        self._cache_bytes = cache_bytes
        self._fetched = 0
        self._away_until = 0.0

    def put(self, key: str, source: Path) -> None:
        import obstore

        with self._asked():
            obstore.put(self.store, key, source, attributes={_DIGEST: sha256_of(source)})

    def fetch(self, key: str) -> Path:
        found = self._copy(key) or self._fetch(key) or self._fetch(key)
        if found is None:
            raise DamagedError(key)
        return found

    def _copy(self, key: str) -> Path | None:
        """What was fetched before, if it still is what came."""
        for name in self.cache.keys(key):
            told = name.rpartition("/")[2]
            try:
                path = self.cache.fetch(name)
                age = time.time() - path.stat().st_mtime
                fresh = age < _UNSAID_SECONDS or not told.startswith(_UNSAID)
                if fresh and is_intact(path, told.removeprefix(_UNSAID)):
                    if age > _USED_SECONDS:
                        os.utime(path)
                    return path
            except FileNotFoundError:  # another process trims it
                continue
            self.cache.delete(name)
        return None

    def _fetch(self, key: str) -> Path | None:
        """What the store has, unless that is not what its hash says. Raises FileNotFoundError."""
        import obstore

        with self._asked(), scratch(self.cache.root) as folder:
            part = folder / "part"
            answer = obstore.get(self.store, key)
            with part.open("wb") as out:
                for chunk in answer.stream():
                    out.write(chunk)
            wanted, came = answer.attributes.get(_DIGEST), sha256_of(part)
            if wanted is None:  # it may have been somebody's page of an error
                described = obstore.get(self.store, key, options={"head": True})
                wanted = described.attributes.get(_DIGEST)
            if wanted not in (None, came):
                return None
            self._make_room(part.stat().st_size)
            former = self.cache.root / key
            if former.is_file():  # as earlier releases kept it, without a hash
                former.unlink(missing_ok=True)
            copy = f"{key}/{came}" if wanted else f"{key}/{_UNSAID}{came}"
            self.cache.put(copy, part)
        return self.cache.fetch(copy)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Raise storage_unavailable where the store fails; at once, where it has just stalled.

        Whoever waits in line behind a stall would wait for it again, one after the other.
        """
        from obstore.exceptions import BaseError

        began = time.monotonic()
        if began < self._away_until:
            raise _away()
        try:
            with storage_errors():
                yield
        except BaseError as error:
            if time.monotonic() - began > _AWAY_SECONDS:
                self._away_until = time.monotonic() + _AWAY_SECONDS
            raise _away() from error

    def _make_room(self, size: int) -> None:
        """Trim the cache after every tenth of its size that was fetched."""
        self._fetched += size
        if self._fetched > self._cache_bytes // 10:
            self._fetched = 0
            trim(self.cache.root, self._cache_bytes)

    def delete(self, key: str) -> None:
        import obstore

        for copy in list(self.cache.keys(key)):
            self.cache.delete(copy)
        with self._asked():
            try:
                obstore.delete(self.store, key)
            except FileNotFoundError:
                return

    def keys(self, prefix: str) -> Iterator[str]:
        import obstore

        with self._asked():
            for batch in obstore.list(self.store, prefix=prefix.rstrip("/") + "/"):
                yield from (item["path"] for item in batch)

    def drop_deleted(self) -> int:
        """Remove what other hosts have deleted since it was fetched; the number of files."""
        kept = [copy for copy in self.cache.keys(_EVERYTHING) if not copy.startswith(_SCRATCH)]
        of = {copy: copy.rpartition("/")[0] for copy in kept}
        folders = {key.rpartition("/")[0] for key in of.values()}
        there = {key for folder in sorted(folders) for key in self.keys(folder)}
        gone = [copy for copy, key in of.items() if key not in there]
        for copy in gone:
            self.cache.delete(copy)
        self._remove_folders()
        return len(gone)

    def _remove_folders(self) -> None:
        """Those of copies that were trimmed: not of one that is being placed now."""
        for folder, _, _ in os.walk(self.cache.root, topdown=False):
            with suppress(FileNotFoundError):
                if time.time() - Path(folder).stat().st_mtime > OLD_SECONDS:
                    _remove_empty(Path(folder))


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


def trim(folder: Path, limit: int) -> int:
    """Delete the files used longest ago until at most `limit` bytes are left; how many went."""
    used = []
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another process trims or replaces it
            if path.is_file() and not path.parent.name.startswith(_SCRATCH):
                state = path.stat()
                used.append((state.st_mtime, state.st_size, path))
    excess, gone = sum(size for _, size, _ in used) - limit, 0
    for _, size, path in sorted(used):
        if excess <= 0:
            break
        path.unlink(missing_ok=True)
        excess, gone = excess - size, gone + 1
    return gone


def staging(settings: Settings) -> Path:
    """The folder for half-written things, on the same file system as the local storage."""
    folder = settings.data_dir / "staging"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A temporary folder under `parent`, gone afterwards whatever happens. Raises storage_full."""
    with storage_errors():
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def tidy(settings: Settings, storage: Storage) -> int:
    """Remove what killed processes left half-written, and copies of what was deleted elsewhere.

    The number of things removed. Raises storage_unavailable.
    """
    dropped = storage.drop_deleted() if isinstance(storage, S3Storage) else 0
    return dropped + sweep_scratch(settings)


def sweep_scratch(settings: Settings) -> int:
    """Remove what killed processes left half-written; the number of things removed."""
    cache = settings.data_dir / _CACHE
    return sweep(staging(settings)) + sweep(cache, f"{_SCRATCH}*")


def sweep(folder: Path, pattern: str = "*") -> int:
    """Remove what matches in `folder` and was untouched for OLD_SECONDS; how many."""
    removed = 0
    for path in folder.glob(pattern) if folder.is_dir() else ():
        try:
            touched = max(one.stat().st_mtime for one in (path, *path.glob("*")))
        except FileNotFoundError:
            continue
        if time.time() - touched > OLD_SECONDS:
            removed += 1
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    return removed


def place(source: Path, target: Path) -> None:
    """Move `source` to `target` on the same file system: fsync, rename, fsync of the folder."""
    _sync(source)
    source.replace(target)
    _sync(target.parent)


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


def sha256_of(path: Path) -> str:
    """A file's hash, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_intact(path: Path, sha256: str) -> bool:
    """Whether a file is what its hash says; one that stays as it is is read once.

    Raises FileNotFoundError.
    """
    seen = path.stat()
    state = seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
    return _sha256(path, *state) == sha256


@lru_cache(maxsize=4096)
def _sha256(path: Path, *_state: int) -> str:
    """Of a file in this state, which is read once."""
    return sha256_of(path)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Say `storage_full` where the system says that a disk or a quota is."""
    try:
        yield
    except OSError as error:
        if (full := full_disk(error)) is not None:
            raise full from error
        raise


def full_disk(error: BaseException) -> HeadstartError | None:
    """The domain's error for a disk or a quota that is full; None for any other error."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return HeadstartError("storage_full", "the storage has no space left", retry_after=60)
    return None


def _away() -> HeadstartError:
    return HeadstartError(
        "storage_unavailable", "the storage cannot be reached; try again", retry_after=_AWAY_SECONDS
    )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True
