"""One line of a manifest, found as bytes: none before it is read as a line."""

from __future__ import annotations

from mmap import ACCESS_READ, mmap
from pathlib import Path

_NEWLINE = ord("\n")


def line_of(path: Path, start: bytes) -> bytes:
    """The file's first line that begins so; empty where none does."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            return b""  # an empty file cannot be mapped
        with mmap(file.fileno(), 0, access=ACCESS_READ) as held:
            at = held.find(start)
            while at > 0 and held[at - 1] != _NEWLINE:
                at = held.find(start, at + 1)
            held.seek(max(at, 0))
            return b"" if at < 0 else held.readline()
