"""How lists are read out of an archive, and how far into it they are looked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from app.uploads.intake.archive import too_many
from app.uploads.intake.layout import FileInTree
from app.uploads.intake.tables import encodings
from app.uploads.intake.tables.source import TableFile

HEAD = 64 * 1024
MOST_BYTES = 32 * 1024 * 1024
"""Of a file that tells of one picture: LabelMe's has the picture itself in it."""


@dataclass(frozen=True)
class ListReading:
    """How the members of an archive are read."""

    start: Callable[[FileInTree, int], bytes]
    """The first bytes of a member, at most so many, as they are."""
    table: Callable[[FileInTree], AbstractContextManager[TableFile]]
    """A member as a file whose rows name pictures."""

    def head(self, member: FileInTree, most: int) -> bytes:
        """What a member begins with, of at most so many bytes: of a text in UTF-16 or UTF-32, or
        behind a byte order mark, as UTF-8."""
        return encodings.as_utf8(self.start(member, most))


def lines_of(table: TableFile) -> list[str]:
    """The lines of a list, none where it is no text. Raises too_many_entries."""
    try:
        with encodings.opened(table) as file:
            data = file.read(MOST_BYTES + 1)
            if len(data) > MOST_BYTES:
                raise too_many(table.limits)
            return split_lines(data.decode())
    except UnicodeDecodeError:
        return []


def split_lines(text: str) -> list[str]:
    """The lines without the byte order marks that they begin with, as the first does, and the first
    of each file that was joined to it."""
    return [line.lstrip("\ufeff") for line in text.splitlines()]
