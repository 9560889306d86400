"""Names from outside: what a member's path may look like, and which members are junk.

Names are only ever compared and shown. Nothing is written under them.
"""

from __future__ import annotations

import re
import unicodedata

from app.core.errors import HeadstartError

UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction marks, embeddings and isolates
    "\u2028\u2029\ud800-\udfff]"  # line separators, lone surrogates
)
LONGEST = 4096
"""Characters of a whole path: what Linux itself allows."""
DRIVE = re.compile("[A-Za-z]:")
JUNK = frozenset({".ds_store", "thumbs.db", "desktop.ini"})


def clean(name: str) -> str:
    """The path with `/` between its parts and no `.` among them; a folder ends in `/`.

    Raises unsafe_path, unsafe_name or label_too_long.
    """
    if len(name) > LONGEST:
        raise _too_long(name)
    parts = name.split("/")
    if "\\" in name or name.startswith("/") or DRIVE.match(name) or ".." in parts:
        raise HeadstartError(
            "unsafe_path", f"{shown(name)} leaves the archive's own folder", param=shown(name)
        )
    if UNSAFE.search(name):
        raise HeadstartError(
            "unsafe_name", f"{shown(name)} has control or direction characters", param=shown(name)
        )
    path = "/".join(part for part in parts if part not in ("", "."))
    return path + "/" if parts[-1] in ("", ".") else path


def _too_long(name: str) -> HeadstartError:
    """A folder's name is a label as a rule, and is said to be too long as one."""
    folder, _, last = name.rpartition("/")
    code = "unsafe_name" if len(last) > len(folder) else "label_too_long"
    why = f"{shown(name, 80)} has {len(name):,} characters; a name may have {LONGEST:,}"
    return HeadstartError(code, why, param=shown(name))


def shown(name: str, length: int = 200) -> str:
    """The name as it can be put into a message: nothing invisible, nothing endless."""
    seen = UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", name[:length])
    return seen + "…" if len(name) > length else seen


def folded(name: str) -> str:
    """The same for names that differ only in case or in how their accents are composed."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def is_junk(path: str) -> bool:
    """What operating systems leave behind: `__MACOSX`, `.DS_Store`, `Thumbs.db` and the like."""
    parts = path.split("/")
    return "__MACOSX" in parts or parts[-1].lower() in JUNK or parts[-1].startswith("._")


class Names:
    """The names seen so far in one archive."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def add(self, path: str) -> None:
        """Raises duplicate_name if a member of this name came before."""
        key = folded(path)
        other = self._seen.get(key)
        if other is None:
            self._seen[key] = path
            return
        how = "twice" if other == path else f"beside {shown(other)}: only case or accents differ"
        raise HeadstartError(
            "duplicate_name", f"{shown(path)} is in the archive {how}", param=shown(path)
        )
