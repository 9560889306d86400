"""The data folder of a service: one service at a time, and the file with its first key."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from app.core.errors import HeadstartError
from app.infra.settings import make_folder

_DYING_SECONDS = {True: 2.0, False: 20.0}
"""How long to wait for the lock where the supervisor that took it lives (it may be about to end),
and where it has been killed: its children are, too, but the kernel takes a moment over it."""


@contextmanager
def only_one(data_dir: Path) -> Iterator[int]:
    """Hold the data folder's lock, so that two services never share one folder; its descriptor.

    Whoever inherits the descriptor holds the lock, too. Raises in_use, storage_unavailable.
    """
    make_folder(data_dir)
    try:
        handle = (data_dir / ".lock").open("a+")
    except OSError as error:
        why = f"the data folder {data_dir} cannot be used: {error.strerror}"
        raise HeadstartError("storage_unavailable", why) from None
    with handle:
        _lock(handle, data_dir)
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield handle.fileno()


def write_key(path: Path, key: str) -> None:
    """Written after the commit, and there as a whole or not: a file is what stops a second key."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(key + "\n")
    draft.replace(path)


def _lock(handle: IO[str], data_dir: Path) -> None:
    began = time.monotonic()
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > began + _DYING_SECONDS[_lives(_holder(handle))]:
                raise HeadstartError(
                    "in_use", f"another Headstart service is running on {data_dir}"
                ) from None
        time.sleep(0.05)


def _holder(handle: IO[str]) -> int:
    """The process id of the supervisor that took the lock last; 0 while it writes that down."""
    handle.seek(0)
    text = handle.read().strip()
    return int(text) if text.isdigit() else 0


def _lives(pid: int) -> bool:
    if not pid:
        return False
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
