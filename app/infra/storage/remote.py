"""An S3-compatible store: what it answers is held against the hash that was put with it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from app.core.errors import HeadstartError
from app.infra.storage.files import (
    OLD_SECONDS,
    SCRATCH,
    is_intact,
    remove_empty,
    scratch,
    sha256_of,
    storage_errors,
    trim,
)
from app.infra.storage.local import LocalStorage
from app.infra.storage.lost import DamagedError, MissingError

_EVERYTHING = ""
_S3_PATIENCE = {"connect_timeout": "5s", "read_timeout": "20s", "timeout": "15min"}
"""A store that says nothing for so long is away; one that sends slowly is not."""
_AWAY_SECONDS = 5.0
"""A failure that took longer was a stall, and for so long nobody asks again."""
_S3_RETRY = timedelta(seconds=15)
"""After so long a request is not tried again."""
_PUTS = 2
"""A store that has lost what it took, or taken half, is given it once more."""
_NO_KEY = "NoSuchKey"
"""What a store says of an object that is missing; any other 404 is of the bucket, or somebody's in
between, and nothing is lost by it."""
_DIGEST = "sha256"
"""What an object's metadata call its hash."""
_UNSAID = "unsaid-"
"""Before a copy's hash where the store tells none: the object is of an earlier release, or what
came is not what it stands for."""
_UNSAID_SECONDS = 60.0
"""Such a copy is fetched anew after so long: a store's slip does not stay."""
_USED_SECONDS = 3600.0
"""Whether a copy is in use is known to so much; telling it costs its next reader a hash."""


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

        digest, size = sha256_of(source), source.stat().st_size
        for _ in range(_PUTS):
            with self._asked():
                with _found():
                    obstore.put(self.store, key, source, attributes={_DIGEST: digest})
                if self._is_kept(key, digest, size=size):
                    return
        raise HeadstartError(
            "storage_unavailable",
            "the storage said that it took this, and has not kept it as it was; try again",
            retry_after=_AWAY_SECONDS,
        )

    def _is_kept(self, key: str, digest: str, *, size: int) -> bool:
        """Whether the store has what it has just said that it took."""
        import obstore

        try:
            described = obstore.get(self.store, key, options={"head": True})
        except FileNotFoundError:
            return False
        told = described.attributes.get(_DIGEST, digest)
        return bool(described.meta["size"] == size and told == digest)

    def fetch(self, key: str) -> Path:
        try:
            found = self._copy(key) or self._fetch(key) or self._fetch(key)
        except FileNotFoundError as error:
            raise MissingError(key) from error
        if found is None:
            raise DamagedError(key, retry_after=_AWAY_SECONDS)
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
            with _found():
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
        with self._asked(), suppress(FileNotFoundError), _found():
            obstore.delete(self.store, key)

    def keys(self, prefix: str) -> Iterator[str]:
        import obstore

        with self._asked(), _found():
            for batch in obstore.list(self.store, prefix=prefix.rstrip("/") + "/"):
                yield from (item["path"] for item in batch)

    def drop_deleted(self) -> int:
        """Remove what other hosts have deleted since it was fetched; the number of files."""
        kept = [copy for copy in self.cache.keys(_EVERYTHING) if not copy.startswith(SCRATCH)]
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
                    remove_empty(Path(folder))


@contextmanager
def _found() -> Iterator[None]:
    """Raise storage_unavailable for a 404 that is not of one object."""
    try:
        yield
    except FileNotFoundError as error:
        if _NO_KEY in str(error):
            raise
        raise _away() from error


def _away() -> HeadstartError:
    return HeadstartError(
        "storage_unavailable", "the storage cannot be reached; try again", retry_after=_AWAY_SECONDS
    )
