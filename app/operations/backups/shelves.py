"""Where a backup lies: a folder, or one tar file (`.tar`, `.tar.gz`). Only its owner may read it.

The list of its files, `backup.json`, has their sizes and hashes. In a folder it is written last, in
a tar first; a tar is there under its name as a whole or not at all.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from app.core.errors import HeadstartError
from app.infra.storage import place, storage_errors
from app.operations.backups import FORMAT, MANIFEST

Listed = Mapping[str, Mapping[str, Any]]
_PIECE = 1024 * 1024


def is_tar(path: Path) -> bool:
    """Whether the name is one of a tar file."""
    return path.name.endswith((".tar", ".tar.gz", ".tgz"))


def require_free(path: Path) -> None:
    """Raise in_use where something is at `path` already."""
    taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
    if taken:
        raise HeadstartError("in_use", f"{path} is there already; a backup overwrites nothing")


def write(path: Path, files: Mapping[str, Path], facts: Mapping[str, Any]) -> None:
    """Put the files, by their names within the backup, and their list at `path`."""
    listed = {
        name: {"bytes": file.stat().st_size, "sha256": hash_of(file)}
        for name, file in files.items()
    }
    document = json.dumps({"format": FORMAT, **facts, "files": listed}, indent=1).encode()
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


def listed_in(path: Path) -> dict[str, Any]:
    """The list of a backup. Raises not_found, invalid_value."""
    try:
        if path.is_dir():
            raw = (path / MANIFEST).read_bytes()
        else:
            with tarfile.open(path) as archive:
                member = archive.next()
                file = archive.extractfile(member) if member and member.name == MANIFEST else None
                raw = file.read() if file else b""
        document = json.loads(raw)
    except FileNotFoundError:
        raise HeadstartError("not_found", f"there is no whole backup at {path}") from None
    except (tarfile.TarError, ValueError, OSError, EOFError) as error:
        raise HeadstartError("invalid_value", f"{path} is no backup: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise HeadstartError("invalid_value", f"{path} is no backup that this release reads")
    return document


def contents(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The files of a backup but its list, one after the other. Raises invalid_value."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file() and file.name != MANIFEST:
                with file.open("rb") as opened:
                    yield file.relative_to(path).as_posix(), opened
        return
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                found = archive.extractfile(member) if member.isreg() else None
                if found is not None and member.name != MANIFEST:
                    yield member.name, found
    except (tarfile.TarError, EOFError, OSError) as error:
        raise HeadstartError("invalid_value", f"{path} is damaged: {error}") from None


def take(source: IO[bytes], target: Path, told: Mapping[str, Any]) -> None:
    """Copy a file of a backup to `target`. Raises invalid_value unless it is what the list says."""
    found, size = hashlib.sha256(), 0
    cut_short = suppress(tarfile.TarError, EOFError)  # its size and hash tell
    with storage_errors(), target.open("wb") as out, cut_short:
        while piece := source.read(_PIECE):
            found.update(piece)
            size += len(piece)
            out.write(piece)
    if (size, found.hexdigest()) != (told["bytes"], told["sha256"]):
        raise HeadstartError("invalid_value", "the backup is damaged: a file is not as it was")


def hash_of(file: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@contextmanager
def readable_by_owner_only() -> Iterator[None]:
    """Make files that nobody else may read, for as long as the block lasts."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
