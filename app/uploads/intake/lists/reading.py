"""How lists are read out of an archive, and how far into it they are looked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from app.uploads.intake.layout import FileInTree
from app.uploads.intake.tables.source import TableFile

HEAD = 64 * 1024
MOST_BYTES = 32 * 1024 * 1024
"""Of a file that tells of one picture: LabelMe's has the picture itself in it."""


@dataclass(frozen=True)
class ListReading:
    """How the members of an archive are read."""

    head: Callable[[FileInTree, int], bytes]
    """The first bytes of a member, at most so many."""
    table: Callable[[FileInTree], AbstractContextManager[TableFile]]
    """A member as a file whose rows name pictures."""
