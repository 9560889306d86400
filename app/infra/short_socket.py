"""Where a Unix socket can be: its whole path has 107 bytes at most (sun_path, unix(7))."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from app.core.errors import HeadstartError

_LONGEST = 107


def socket_path(data_dir: Path, name: str) -> Path:
    """`name` in the data folder; of a folder with too long a path, in a short one of its own.

    That one is `<temporary folder>/headstart-<user>-<hash of the data folder>`, which no other user
    may enter. Raises storage_unavailable where somebody else has made it.
    """
    usual = data_dir.resolve() / name
    if len(os.fsencode(usual)) <= _LONGEST:
        return usual
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - the folder below is checked
        folder = Path(parent) / f"headstart-{os.geteuid()}-{digest}"
        if len(os.fsencode(folder / name)) <= _LONGEST:
            return _private(folder) / name
    raise HeadstartError("storage_unavailable", f"no path to a socket for {data_dir} is short")


def _private(folder: Path) -> Path:
    """The folder, made if it is not there. Raises storage_unavailable unless it is ours alone."""
    folder.mkdir(mode=0o700, exist_ok=True)
    state = folder.lstat()
    ours = stat.S_ISDIR(state.st_mode) and state.st_uid == os.geteuid()
    if not ours or state.st_mode & 0o077:
        raise HeadstartError("storage_unavailable", f"{folder} is not this user's own; remove it")
    return folder
