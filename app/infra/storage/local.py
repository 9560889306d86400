"""A folder on a local disk as a storage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from app.infra.storage.files import place, remove_empty, storage_errors
from app.infra.storage.lost import MissingError


class LocalStorage:
    """A folder on a local disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def put(self, key: str, source: Path) -> None:
        target = self._path(key)
        with storage_errors():
            place(source, target)

    def fetch(self, key: str) -> Path:
        path = self._path(key)
        if not path.is_file():
            raise MissingError(key)
        return path

    def delete(self, key: str) -> None:
        path = self._path(key)
        path.unlink(missing_ok=True)
        for parent in path.parents:
            if parent == self.root or not remove_empty(parent):
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
