"""Files that speak of an archive's pictures in whatever form, by the names that stand in them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.uploads.intake.layout import FileInTree

MOST_PICTURES = 200
ENOUGH = 10
NESTED = (".json", ".xml", ".yaml", ".yml")
"""Formats that say much of a picture before they come to the next."""
_NO_LISTS = re.compile(r"md5|sha\d|checksum|readme|licen[cs]e|changelog|submission", re.I)


class Mentions:
    """Tells whether a file mentions the pictures, or what they are called without their ending."""

    def __init__(self, found: Sequence[FileInTree]) -> None:
        self._names = [one.parts[-1] for one in found[:MOST_PICTURES]]
        stems = {name.rpartition(".")[0] for name in self._names}
        self._stems = {one for one in stems if re.search(r"[^\W\d_]", one) or len(one) > 4}

    def are_in(self, member: FileInTree, head: bytes, *, suffix: str) -> bool:
        """Whether most of them are in a file that begins so, or as many as an accident is not."""
        if _NO_LISTS.search(member.parts[-1]):
            return False
        text = head.replace(b"\0", b"").decode("utf-8", "replace")
        enough = min(3 if suffix in NESTED else ENOUGH, (len(self._names) + 1) // 2)
        if sum(name in text for name in self._names) >= max(1, enough):
            return True
        said = self._stems & set(re.split(r"[\s,;:|=\"'<>]+", text))
        return 2 * len(said) >= len(self._names) > 0
