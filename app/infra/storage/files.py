"""Files and folders that are whole, or not there: what every storage is made of."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from app.core.errors import HeadstartError

OLD_SECONDS = 86_400.0
"""Nothing that a process still works on is left alone for so long."""
SCRATCH = ".scratch-"
_HELD = f"{SCRATCH}held-"
"""Of folders that are locked (flock(2)) for as long as the process that made them lives."""
_LOCKED_BY_NOW = 60.0
"""Seconds after which whoever makes such a folder has locked it."""
_TRIES = 1000
"""How often a folder is made again that others remove."""


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A temporary folder under `parent`, gone afterwards whatever happens. Raises storage_full."""
    with storage_errors():
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=_HELD, dir=parent))
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks: then its age tells, as before
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def trim(folder: Path, limit: int) -> int:
    """Delete the files used longest ago until at most `limit` bytes are left; how many went."""
    used = []
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another process trims or replaces it
            if path.is_file() and not path.parent.name.startswith(SCRATCH):
                state = path.stat()
                used.append((state.st_mtime, state.st_size, path))
    excess, gone = sum(size for _, size, _ in used) - limit, 0
    for _, size, path in sorted(used):
        if excess <= 0:
            break
        path.unlink(missing_ok=True)
        excess, gone = excess - size, gone + 1
    return gone


def sweep(folder: Path, pattern: str = "*") -> int:
    """Remove what matches in `folder` and was untouched for OLD_SECONDS, or whose process has
    ended; how many.
    """
    removed = 0
    for path in folder.glob(pattern) if folder.is_dir() else ():
        try:
            touched = max(one.stat().st_mtime for one in (path, *path.glob("*")))
            if time.time() - touched < OLD_SECONDS and not _is_left(path):
                continue
        except FileNotFoundError:
            continue
        removed += 1
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return removed


def _is_left(path: Path) -> bool:
    """Whether the process that made a scratch folder has ended. Raises FileNotFoundError."""
    if not path.name.startswith(_HELD) or time.time() - path.stat().st_ctime < _LOCKED_BY_NOW:
        return False
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # it is locked, or nothing can be here
        return False
    finally:
        os.close(handle)
    return True


def place(source: Path, target: Path) -> None:
    """Move `source` to `target` on the same file system: fsync, rename, fsync of the folder.

    The folder is made; whoever deletes its last file meanwhile removes it again, and then again.
    """
    sync(source)
    for left in reversed(range(_TRIES)):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
            break
        except (FileNotFoundError, FileExistsError):  # `mkdir` says so of what goes meanwhile
            if not left or not source.exists():
                raise
    with suppress(FileNotFoundError):  # what is placed has been deleted by now
        sync(target.parent)


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


def sync(path: Path) -> None:
    """Have what was written to a file, or renamed in a folder, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_empty(folder: Path) -> bool:
    """Remove a folder with nothing in it; whether it was one."""
    try:
        folder.rmdir()
    except OSError:
        return False
    return True
