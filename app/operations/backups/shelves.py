"""Where a backup lies: a folder, or one tar file (`.tar`, `.tar.gz`). Only its owner may read it.

The list of its files, `backup.json`, has their sizes and hashes. In a folder it is written last, in
a tar first; a tar is there under its name as a whole or not at all.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from app.core.errors import HeadstartError
from app.infra.storage import place, sha256_of, storage_errors
from app.operations.backups import FORMAT, MANIFEST
from app.operations.backups.lists import BackupList, ListedFile, parsed

_PIECE = 1024 * 1024
_NOWHERE = Path(os.devnull)
_UNREADABLE = (
    *(tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(ValueError, OverflowError, RecursionError),
)
"""What reading a damaged archive, or a folder of strange names, raises."""


def is_tar(path: Path) -> bool:
    """Whether the name is one of a tar file."""
    return path.name.endswith((".tar", ".tar.gz", ".tgz"))


def require_free(path: Path) -> None:
    """Raise in_use where something is at `path` already."""
    taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
    if taken:
        raise HeadstartError("in_use", f"{path} is there already; a backup overwrites nothing")


def write(path: Path, files: Mapping[str, Path], facts: Mapping[str, Any]) -> None:
    """Put the files, by their names within the backup, and their list at `path`.

    Raises storage_full, and invalid_value for what could not be restored.
    """
    listed = {
        name: {"bytes": file.stat().st_size, "sha256": sha256_of(file)}
        for name, file in files.items()
    }
    document = json.dumps({"format": FORMAT, **facts, "files": listed}, indent=1).encode()
    parsed(document)
    with storage_errors():
        (_write_tar if is_tar(path) else _write_folder)(path, files, document)


def _write_folder(path: Path, files: Mapping[str, Path], document: bytes) -> None:
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, file in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = target.with_name(target.name + ".part")
        shutil.copyfile(file, part)
        part.chmod(0o600)
        place(part, target)
    draft = path / f"{MANIFEST}.part"
    draft.touch(mode=0o600)
    draft.write_bytes(document)
    place(draft, path / MANIFEST)


def _write_tar(path: Path, files: Mapping[str, Path], document: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    packed = path.name.endswith("gz")
    try:
        with tarfile.open(part, "w:gz" if packed else "w", format=tarfile.PAX_FORMAT) as out:
            _add(out, MANIFEST, io.BytesIO(document), len(document))
            for name, file in files.items():
                with file.open("rb") as source:
                    _add(out, name, source, file.stat().st_size)
        place(part, path)
    finally:
        part.unlink(missing_ok=True)


def _add(out: tarfile.TarFile, name: str, source: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    out.addfile(member, source)


def listed_in(path: Path) -> BackupList:
    """The list of a backup. Raises not_found, invalid_value."""
    with _reading(f"{path} is no backup"):
        try:
            raw = (path / MANIFEST).read_bytes() if path.is_dir() else _first_in(path)
        except FileNotFoundError:
            raise HeadstartError("not_found", f"there is no whole backup at {path}") from None
    return parsed(raw)


def _first_in(path: Path) -> bytes:
    with tarfile.open(path) as archive:
        member = archive.next()
        file = archive.extractfile(member) if member and member.name == MANIFEST else None
        return b"".join(_pieces(file)) if file else b""


def contents(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The files of a backup but its list, one after the other. Raises invalid_value."""
    with _reading(f"{path} is damaged"):
        yield from _in_folder(path) if path.is_dir() else _in_tar(path)


def _in_folder(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    waiting = [path]
    while waiting:
        for entry in sorted(waiting.pop().iterdir()):
            name = entry.relative_to(path).as_posix()
            if entry.is_dir() and not entry.is_symlink():
                waiting.append(entry)
            elif entry.is_file() and name != MANIFEST:
                with entry.open("rb") as opened:
                    yield name, opened


def _in_tar(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(path) as archive:
        for member in archive:
            found = archive.extractfile(member) if member.isreg() else None
            if found is not None and member.name != MANIFEST:
                yield member.name, found


def _pieces(source: IO[bytes]) -> Iterator[bytes]:
    while piece := source.read(_PIECE):
        yield piece


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Raise invalid_value, in one line, where a file or an archive cannot be read."""
    try:
        yield
    except _UNREADABLE as error:
        why = " ".join(str(error).split())
        raise HeadstartError("invalid_value", f"{what}: {why}") from None


def take(name: str, source: IO[bytes], told: ListedFile, target: Path | None = None) -> None:
    """Look at a file of a backup, and copy it to `target` where one is named.

    Raises invalid_value unless it is what the list says, storage_full.
    """
    found, size, what = hashlib.sha256(), 0, f"the backup is damaged: {name}"
    with storage_errors(), (target or _NOWHERE).open("wb") as out:
        pieces = _pieces(source)
        while size <= told.bytes:
            with _reading(what):
                piece = next(pieces, b"")
            if not piece:
                break
            found.update(piece)
            size += len(piece)
            out.write(piece)
    if (size, found.hexdigest()) != (told.bytes, told.sha256):
        raise HeadstartError("invalid_value", f"{what} is not as it was")


@contextmanager
def readable_by_owner_only() -> Iterator[None]:
    """Make files that nobody else may read, for as long as the block lasts."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
