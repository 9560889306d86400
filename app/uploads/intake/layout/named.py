"""Files by what tables call them: a bare name, a name without its ending, a path from elsewhere."""

from __future__ import annotations

import base64
import binascii
import re
from collections import defaultdict
from collections.abc import Sequence
from urllib.parse import unquote

from app.uploads.intake.layout.roles import FileInTree
from app.uploads.intake.names import folded

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)
_UPLOADED = re.compile(r"[0-9a-f]{8}-")
"""What Label Studio puts before the name of a file that was uploaded to it."""
_RESOLVED = re.compile(r"[?&]fileuri=([A-Za-z0-9_=-]+)")


class Nearby:
    """Finds the files that lie deeper or less deep than the paths that are said; with `loose` in
    other folders, too, as a table has them that was made elsewhere."""

    def __init__(self, found: Sequence[FileInTree], *, loose: bool = False) -> None:
        self._loose = loose
        self._named: dict[str, list[FileInTree]] = defaultdict(list)
        self._stems: dict[str, list[FileInTree]] = defaultdict(list)
        for one in found:
            name = folded(one.parts[-1])
            self._named[name].append(one)
            self._stems[name.rpartition(".")[0] or name].append(one)

    def find(self, said: str) -> FileInTree | None:
        """The only file that `said` may mean; None where there is none or several are."""
        found = self.every(said)
        return found[0] if len(found) == 1 else None

    def every(self, said: str) -> list[FileInTree]:
        """All files of the name that is said, where one path is the end of the other; only the
        one of the whole path where there is one."""
        parts = [one for one in folded(plain(said)).split("/") if one]
        parts = [one for one in parts if one != "."]
        if not parts:
            return []
        names = dict.fromkeys((parts[-1], own_name(parts[-1])))
        known = (listed.get(one) for listed in (self._named, self._stems) for one in names)
        named = next(filter(None, known), [])
        ends = [one for one in named if self._loose or _is_end(parts[:-1], one.parts[:-1])]
        whole = [one for one in ends if [folded(part) for part in one.parts[:-1]] == parts[:-1]]
        return whole if len(whole) == 1 and len(parts) > 1 else ends


def _is_end(said: Sequence[str], folders: Sequence[str]) -> bool:
    """Whether the shorter of two lists of folders is the end of the longer."""
    short = min(len(said), len(folders))
    theirs = [folded(one) for one in folders[len(folders) - short :]]
    return theirs == list(said[len(said) - short :])


def plain(said: str) -> str:
    """The path in what a list says: without an address's beginning, query and escapes."""
    resolved = _RESOLVED.search(said)
    if resolved is not None:
        said = _decoded(resolved[1]) or said
    said = said.rpartition("?d=")[2]
    scheme = _SCHEME.match(said)
    if scheme is not None:
        said = said[scheme.end() :].partition("?")[0]
    return unquote(said).replace("\\", "/").strip()


def _decoded(text: str) -> str | None:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def own_name(name: str) -> str:
    """A file's name without what Label Studio puts before it."""
    return _UPLOADED.sub("", name, count=1)
