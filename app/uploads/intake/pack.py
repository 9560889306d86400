"""The pack: the bytes of one upload's examples, one after the other, in one file.

Random bytes end it, so that its hash is a name that no other pack has had, or will have (ADR 19).
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from app.uploads.intake.limits import MIB


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a content lies in the pack, and its sha256 in hexadecimal."""

    sha256: str
    offset: int
    length: int


class PackWriter:
    """Appends contents, each once; durable only when storage takes the file over and syncs it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb", buffering=4 * MIB)
        self._hash = hashlib.sha256()
        self._slots: dict[str, Slot] = {}
        self._length = 0

    def add(self, data: bytes) -> Slot:
        """The slot of `data`, which is written if it is new."""
        digest = hashlib.sha256(data).hexdigest()
        slot = self._slots.get(digest)
        if slot is None:
            slot = Slot(digest, self._length, len(data))
            self._slots[digest] = slot
            self._write(data)
            self._length += len(data)
        return slot

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)

    def finish(self) -> str:
        """End the file; the sha256 of all of it."""
        self._write(secrets.token_bytes(16))
        self._file.close()
        return self._hash.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """After an error nothing is left of the pack."""
        if kind is not None:
            self.path.unlink(missing_ok=True)
            self._file.close()
