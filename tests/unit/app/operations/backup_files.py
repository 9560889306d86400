"""Small backups, and such as nobody made: their files, their list, a tar of both."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import tarfile
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.core import secret_keys
from tests.factories import migrated

PACK, MANIFEST, HEAD = (
    "storage/packs/default/" + "ab" * 32,
    "storage/manifests/default/" + "cd" * 32 + ".jsonl",
    "storage/models/default/m1/1/head.safetensors",
)
KEY = secret_keys.new()
Document = dict[str, Any]


@cache
def whole() -> Mapping[str, bytes]:
    """The files of a backup, by their names."""
    with TemporaryDirectory() as folder:
        database = migrated(Path(folder)).read_bytes()
    stored = {PACK: b"bytes of pictures", MANIFEST: b"{}\n", HEAD: b"tensors"}
    return {"headstart.db": database, "secrets-key": f"{KEY}\n".encode(), **stored}


def listed(files: Mapping[str, bytes]) -> Document:
    """The list of these files."""
    told = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    }
    return {"format": 1, "made": "2026-01-01T00:00:00+00:00", "missing": [], "files": told}


def packed(files: Mapping[str, bytes], document: bytes | None = None) -> bytes:
    """A backup as a tar, with another list than its own if one is given."""
    out = io.BytesIO()
    document = json.dumps(listed(files)).encode() if document is None else document
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in {"backup.json": document, **files}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def left_in(folder: Path) -> dict[str, bytes]:
    """Every file of a data folder but those that locks are held on."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".lock")
    }


def doctored(change: str) -> bytes:
    """A database that a backup's rows were not."""
    with TemporaryDirectory() as folder:
        path = migrated(Path(folder))
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(change)
        return path.read_bytes()
