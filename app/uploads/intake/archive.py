"""An archive as a list of checked entries whose bytes are read one by one; nothing is extracted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from app.core.errors import HeadstartError
from app.uploads.intake.code_pages import CodePage
from app.uploads.intake.limits import Limits
from app.uploads.intake.names import Names, clean, is_junk, shown

CHUNK = 1024 * 1024
OF_MEMBERS = frozenset(
    {
        "unsafe_path",
        "unsafe_member",
        "unsafe_name",
        "duplicate_name",
        "label_too_long",
        "unsupported_member",
        "archive_encrypted",
        "invalid_value",
    }
)
"""What one entry may be refused for while those after it can still be looked at."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A regular member: its cleaned path, and where its `size` bytes come from."""

    path: str
    size: int
    offset: int
    """Where its bytes begin in the archive."""
    packed: int = 0
    method: int = 0
    crc: int = 0


class Archive(Protocol):
    """What layouts and builds need of an archive, whatever its kind."""

    entries: list[Entry]
    folders: list[str]
    page: CodePage
    """How names that do not state their code page were read."""

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """The member's bytes, a MiB at most at a time. Raises archive_corrupt or archive_bomb."""


class Listing:
    """Collects the entries of an archive and holds them to names, counts and sizes."""

    def __init__(self, limits: Limits) -> None:
        self.entries: list[Entry] = []
        self.folders: list[str] = []
        self._limits = limits
        self._names = Names()
        self._members = 0
        self._named = 0
        self._bytes = 0

    def count(self, name: bytes | str) -> None:
        """Called for each member before anything is kept of it. Raises too_many_entries."""
        self._members += 1
        self._named += len(name)
        if self._members > self._limits.entries or self._named > self._limits.directory_bytes:
            raise too_many(self._limits)

    def path(self, name: str) -> str:
        """The cleaned path of the next member.

        Raises unsafe_path, unsafe_name, label_too_long or duplicate_name.
        """
        path = clean(name)
        if not path.endswith("/") and not is_junk(path):
            self._names.add(path)
        return path

    def add(self, entry: Entry) -> None:
        """Raises archive_bomb if all entries so far unpack to more than is allowed."""
        if entry.path.endswith("/"):
            self.folders.append(entry.path)
            return
        self._bytes += entry.size
        if self._bytes > self._limits.unpacked_bytes:
            raise bomb(f"more than {self._limits.unpacked_bytes:,} bytes")
        self.entries.append(entry)


def read(archive: Archive, entry: Entry, limits: Limits) -> bytes:
    """All bytes of a member that is small enough to hold. Raises image_too_large."""
    if entry.size > limits.member_bytes:
        raise HeadstartError(
            "image_too_large",
            f"{shown(entry.path)} has {entry.size:,} bytes; "
            f"one example may have {limits.member_bytes:,}",
            param=shown(entry.path),
        )
    return b"".join(archive.chunks(entry))


def exactly(file: BinaryIO, offset: int, length: int) -> bytes:
    """The bytes at `offset`. Raises archive_corrupt where the file ends too early."""
    file.seek(offset)
    data = file.read(length)
    if len(data) != length:
        raise corrupt("it ends too early; was the upload cut short?")
    return data


def corrupt(why: str, path: str | None = None) -> HeadstartError:
    """The archive, or its member `path`, is damaged."""
    where = shown(path) if path else None
    return HeadstartError(
        "archive_corrupt", f"{where or 'the archive'} is damaged: {why}", param=where
    )


def bomb(what: str, path: str | None = None) -> HeadstartError:
    """The archive, or its member `path`, unpacks to `what`."""
    where = shown(path) if path else None
    return HeadstartError(
        "archive_bomb", f"{where or 'the archive'} unpacks to {what}", param=where
    )


def too_many(limits: Limits) -> HeadstartError:
    """The archive has more members, or the table more rows, than `limits`; or too long names."""
    why = f"more than {limits.entries:,} entries, or than {limits.directory_bytes:,} bytes of names"
    return HeadstartError("too_many_entries", why)


def check_ratio(unpacked: int, packed: int, limits: Limits, path: str | None = None) -> None:
    """Raises archive_bomb when `unpacked` bytes come out of too few."""
    if unpacked > limits.ratio_from and unpacked > limits.ratio * max(1, packed):
        raise bomb(f"more than {limits.ratio} times its size", path)
