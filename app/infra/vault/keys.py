"""Where keys come from: SECRETS_KEY, SECRETS_KEY_FILE and the data folder's file, in this order."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.core import secret_keys
from app.core.errors import HeadstartError
from app.infra.settings import Settings
from app.infra.storage import place, storage_errors, sync

FILE = "secrets-key"
"""In the data folder; whoever copies the database alone has not got it."""
_LOCK = ".secrets-key.lock"


def read(settings: Settings) -> list[bytes]:
    """Every key that this process knows, newest first. Raises invalid_value."""
    told = secret_keys.several(settings.secrets_key.get_secret_value())
    named = settings.secrets_key_file
    if named is not None:
        told += _in_file(named, "HEADSTART_SECRETS_KEY_FILE")
        if not told:
            raise HeadstartError("invalid_value", f"HEADSTART_SECRETS_KEY_FILE={named}: no key")
    own = settings.data_dir / FILE
    return told + (_in_file(own, "the data folder's") if own.exists() else [])


def _in_file(path: Path, what: str) -> list[bytes]:
    try:
        return secret_keys.several(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not a list of keys"
        raise HeadstartError("invalid_value", f"{what} {path}: {why}") from None


def make(folder: Path) -> None:
    """Put a first key into the folder's file, unless another process has just done so.

    It is on the disk before anything is sealed with it, and never there by half. Raises
    storage_full.
    """
    with _alone(folder):
        draft = folder / f"{FILE}.{os.getpid()}"
        _write(draft, secret_keys.new() + "\n")
        try:
            with suppress(FileExistsError):
                os.link(draft, folder / FILE)
        finally:
            draft.unlink()
        sync(folder)


def put_first(folder: Path, told: list[bytes]) -> str:
    """Put keys before those of the folder's file, but for those that are in it; what was put.

    What is in the file stays as it is, remarks included, and whatever others put there meanwhile.
    Raises as `read`, and storage_full.
    """
    path = folder / FILE
    with _alone(folder):
        known = _in_file(path, "the data folder's") if path.exists() else []
        there = path.read_text("utf-8") if path.exists() else ""
        put = text_of([key for key in told if key not in known])
        if put:  # an empty file would keep a first key from being made
            _replace(folder, put + there)
    return put


def take_out(folder: Path, put: str) -> None:
    """Take what `put_first` has put out of the folder's file again. Raises storage_full."""
    with _alone(folder):
        path = folder / FILE
        if not put or not path.exists():
            return
        if rest := path.read_text("utf-8").replace(put, "", 1):
            _replace(folder, rest)
        else:
            path.unlink()
            sync(folder)


def _replace(folder: Path, text: str) -> None:
    draft = folder / f"{FILE}.{os.getpid()}"
    _write(draft, text)
    place(draft, folder / FILE)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One at a time, of all processes: each writes the whole file anew from what it has read.

    The folder's own lock does not do, which a running service holds. Raises storage_full.
    """
    with storage_errors():
        handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def text_of(told: list[bytes]) -> str:
    """Keys as a file has them."""
    return "".join(f"{secret_keys.encode(key)}\n" for key in told)


def _write(draft: Path, text: str) -> None:
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    with draft.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
