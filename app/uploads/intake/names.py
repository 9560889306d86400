"""Names from outside: what a member's path may look like, and which members are junk.

Names are only ever compared and shown. Nothing is written under them, so that none can collide.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from urllib.parse import unquote

from app.core.errors import HeadstartError

UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction marks, embeddings and isolates
    "\u2028\u2029\ud800-\udfff]"  # line separators, lone surrogates
)
LONGEST = 4096
"""Characters of a whole path: what Linux itself allows."""
DRIVE = re.compile("[A-Za-z]:")
JUNK = frozenset({"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"})
JUNK_FOLDERS = frozenset(
    {
        "__macosx",
        "__pycache__",
        "@eadir",
        "@recycle",
        "@recently-snapshot",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "recycler",
        "system volume information",
        "lost+found",
        "network trash folder",
        "temporary items",
    }
)
STREAM = re.compile(
    "(zone[.]identifier|[:\uf03a](smartscreen|encryptable|com[.]dropbox[.].*|afp_.*|[$]data))$"
)
"""How an NTFS stream beside a file is called where it became a file of its own."""


def clean(name: str) -> str:
    """The path with `/` between its parts and no `.` among them; a folder ends in `/`.

    Junk may have control characters in its name. Raises unsafe_path, unsafe_name or
    label_too_long.
    """
    if len(name) > LONGEST:
        raise _too_long(name)
    parts = name.split("/")
    escape = _escape(name, parts)
    if escape:
        raise HeadstartError("unsafe_path", f"{shown(name)} {escape}", param=shown(name))
    if UNSAFE.search(name) and not is_junk(name):
        raise HeadstartError(
            "unsafe_name", f"{shown(name)} has control or direction characters", param=shown(name)
        )
    path = "/".join(part for part in parts if part not in ("", "."))
    return path + "/" if parts[-1] in ("", ".") else path


def _escape(name: str, parts: list[str]) -> str | None:
    """How the name leaves the archive's own folder, if it does."""
    if ".." in parts or "..\\" in name:
        return "leaves the archive's own folder"
    if name.startswith(("/", "\\")):
        return "begins at the root, and not in the archive's own folder"
    if DRIVE.match(name):
        return "begins with a drive, and not in the archive's own folder"
    if "\\" in name:
        return (
            "has \\ between folders, as PowerShell 5 writes them; zip again with Explorer, "
            "7-Zip, `tar -a -cf` or PowerShell 7, which write /"
        )
    return None


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
    """What systems and tools leave beside files: whatever is hidden, `__MACOSX`, `@eaDir`,
    `Thumbs.db`, `Icon\\r`, `~$x.xlsx`, `x.png:Zone.Identifier` and the like."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    *folders, name = parts or [""]
    low = name.lower()
    return (
        any(is_junk_folder(folder) for folder in folders)
        or is_junk_folder(name)
        or low in JUNK
        or name.startswith("~$")  # beside a workbook or document that is open in Office
        or STREAM.search(low) is not None
    )


def is_junk_folder(name: str) -> bool:
    """Whether a folder of this name, or a hidden file, is left by a system or a tool."""
    return (name.startswith(".") and name.strip(".") != "") or name.lower() in JUNK_FOLDERS


class Names:
    """The names seen so far in one archive; those that differ in case only are two names."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def add(self, path: str) -> None:
        """Raises duplicate_name if a member of this name came before."""
        if path in self._seen:
            raise HeadstartError(
                "duplicate_name", f"{shown(path)} is in the archive twice", param=shown(path)
            )
        self._seen.add(path)


_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)
_UPLOADED = re.compile(r"[0-9a-f]{8}-")
"""What Label Studio puts before the name of a file that was uploaded to it."""
_RESOLVED = re.compile(r"[?&]fileuri=([A-Za-z0-9_=-]+)")


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
