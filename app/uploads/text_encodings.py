"""Encodings of texts by the names that Python, Excel and other programs give them."""

from __future__ import annotations

import codecs
import re
import unicodedata

from app.uploads.plausible import TYPOGRAPHIC, plausible

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.:()+-]{0,39}")
_NONE = frozenset(
    {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem"}
    | {"utf-7", "palmos", "charmap"}
)
"""Codecs of Python's that no file is in, or that read anything as text."""
OTHERS = {
    "ansi": "cp1252",
    "windows": "cp1252",
    "western european (windows)": "cp1252",
    "unicode": "utf-16",
    "unicode text": "utf-16",
    "utf-8 with bom": "utf-8-sig",
    "utf8-bom": "utf-8-sig",
    "utf-8-bom": "utf-8-sig",
    "macintosh": "mac_roman",
    "mac": "mac_roman",
    "ms-dos": "cp437",
    "oem": "cp437",
    "windows-31j": "cp932",
    "windows-874": "cp874",
    "tis620": "tis_620",
    "latin": "latin-1",
}
"""Names that programs have and Python has not; `ANSI` is what it is in the West."""


def known(name: str) -> str:
    """The name, if it is an encoding of texts. Raises ValueError."""
    codec(name)
    return name


def codec(name: str) -> codecs.CodecInfo:
    """Python's codec. Raises ValueError for what is none, or none of texts."""
    plain = OTHERS.get(name.strip().casefold(), name.strip())
    found = _looked_up(plain) if _NAME.fullmatch(plain) else None
    if found is None or found.name.replace("_", "-") in _NONE or not found.incrementaldecoder:
        examples = "utf-8, windows-1252, cp1256, gb18030, shift_jis, mac_roman"
        raise ValueError(f"{name[:40]!r} is no encoding of texts; such are {examples}")
    return found


def _looked_up(name: str) -> codecs.CodecInfo | None:
    try:
        b"a".decode(name)  # refuses what is none of texts, such as rot13
    except LookupError:
        return None
    except UnicodeError:
        return codecs.lookup(name)  # one byte is too few for some
    return codecs.lookup(name)


def readings(data: bytes) -> list[tuple[str, str]]:
    """Likely encodings of a few words that are not UTF-8, each with what it would be, the most
    plausible first; of those that read it alike the first."""
    told: dict[str, str] = {}
    for name in LIKELY:
        try:
            text = data.decode(name)
        except UnicodeDecodeError:
            continue
        if _is_written(text):
            told.setdefault(text, name)
    return sorted(
        ((name, text) for text, name in told.items()),
        key=lambda told: plausible(told[1]),
        reverse=True,
    )


LIKELY = (
    *("windows-1252", "windows-1250", "windows-1251", "windows-1253", "windows-1254"),
    *("windows-1255", "windows-1256", "windows-1257", "windows-1258", "cp874", "gb18030", "big5"),
    *("shift_jis", "euc-jp", "euc-kr", "koi8-r", "mac_roman", "cp850"),
)
"""What tables are in where they are not in UTF-8."""


def _is_written(text: str) -> bool:
    """Whether what is no ASCII consists of letters and the marks beside them."""
    odd = [mark for mark in text if not mark.isascii()]
    said = sum(unicodedata.category(mark)[0] in "LM" or mark in TYPOGRAPHIC for mark in odd)
    return bool(odd) and 4 * said >= 3 * len(odd) and "\ufffd" not in text
