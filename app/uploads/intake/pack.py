"""The pack: the bytes of one upload's examples, one after the other, in one file.

Random bytes end it; the hash of them and of its contents' hashes is a name that no other pack has
had, or will have (ADR 19).
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from app.core.manifest import Split
from app.uploads.intake.limits import MIB

AT_ONCE = MIB // 4


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a content lies in the pack, and its sha256 in hexadecimal."""

    sha256: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Draft:
    """An example before the pack is complete."""

    slot: Slot
    path: str
    label: str
    group: str | None
    split: Split | None
    identity: str | None = None
    labels: tuple[str, ...] | None = None
    denied: frozenset[str] = frozenset()
    """Labels that its rows say it has not."""
    source: str | None = None
    """The sha256 of the picture that it was cut out of."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its labels: the one that it has, or several, or none."""
        return (self.label,) if self.labels is None else self.labels

    @property
    def content(self) -> str:
        """What is equal for equal contents."""
        return self.identity or self.slot.sha256

    def contradicts(self, other: Draft) -> bool:
        """Whether they cannot be one example: they have other groups, or one says of a label that
        it is not there, and one that it is."""
        groups = {self.group, other.group} - {None, ""}
        both = (self.denied | other.denied).intersection((*self.names, *other.names))
        return len(groups) > 1 or bool(both)

    def joined(self, other: Draft) -> Draft:
        """This one with the labels of both."""
        names = tuple(sorted({*self.names, *other.names}))
        denied = self.denied | other.denied
        return replace(self, labels=names, denied=denied, group=self.group or other.group)


class PackWriter:
    """Appends contents, each once; durable only when storage takes the file over and syncs it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb", buffering=0)
        self._hash = hashlib.sha256()
        self._slots: dict[str, Slot] = {}
        self._length = 0
        self._waiting = bytearray()

    def add(self, data: bytes, sha256: str | None = None) -> Slot:
        """The slot of `data`, which is written if it is new; `sha256` is its own, if known."""
        digest = sha256 or hashlib.sha256(data).hexdigest()
        slot = self._slots.get(digest)
        if slot is None:
            slot = Slot(digest, self._length, len(data))
            self._slots[digest] = slot
            self._hash.update(bytes.fromhex(digest))
            self._write(data)
        return slot

    def _write(self, data: bytes) -> None:
        """Small contents are collected: a file of texts would be a call to the system for each."""
        self._length += len(data)
        self._waiting += data
        if len(self._waiting) >= AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        rest = memoryview(self._waiting)
        while rest:
            rest = rest[self._file.write(rest) or 0 :]
        self._waiting = bytearray()

    def finish(self) -> str:
        """End the file; its name."""
        salt = secrets.token_bytes(16)
        self._hash.update(salt)
        self._write(salt)
        self._flush()
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


def new_pack(staging: Path) -> PackWriter:
    """A pack under a name of its own in `staging`."""
    handle, path = tempfile.mkstemp(prefix="pack-", dir=staging)
    os.close(handle)
    return PackWriter(Path(path))
