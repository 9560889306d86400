"""What a text has to be like, in words: nobody is told a regular expression."""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.core.identity import ORGANISATION
from app.core.texts import INVISIBLE, PRINTABLE

_LETTERS = "letters (A to z), digits"
_ALIAS = f"an alias has {_LETTERS}, dots, -, _ and @, and begins with a letter or a digit"
_WORDS: Mapping[str, str] = {
    PRINTABLE: "it has control or direction characters, or nothing that can be seen",
    f"^[^{INVISIBLE}]+$": "it has control or direction characters",
    ORGANISATION: "an organisation's name has 1 to 64 of a to z, digits, - and _, and begins with "
    "a letter or a digit",
    r"^[A-Za-z0-9._:@-]+$": f"an id or an alias has {_LETTERS}, dots, -, _, : and @",
    r"^[A-Za-z0-9][A-Za-z0-9._@-]*$": _ALIAS,
    r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$": _ALIAS,
    r"^[A-Za-z0-9._-]{1,64}$": f"a suffix has 1 to 64 {_LETTERS}, dots, - and _",
    "^[a-z0-9_ ]+$": "it has a to z, digits, _ and blanks",
    r"^[\x21-\x7e]+$": "it has visible ASCII characters alone",
    "^[!-~]+$": "it has visible ASCII characters alone",
    "^[ -~]*$": "it has ASCII characters alone",
    "^[^\\u0000]*$": "it has a NUL character",
    r"^[^\x00]*$": "it has a NUL character",
    r"^v3\.[0-9](-preview)?$": "a version is written as v3.0 to v3.9",
    "^[0-9A-Fa-f]{32}$": "an MD5 has 32 hexadecimal digits",
    "^[0-9a-f]{64}$": "a SHA-256 has 64 hexadecimal digits, a to f in small letters",
    "^[Rr]ight$": "texts are truncated at their end alone: Right",
}
_ID = re.compile(r"\^(?P<prefixes>\(?[a-z_|-]+\)?)\[0-9(?:[a-z]-[a-z])?\]\{[0-9,]+\}\$")


def words_of(pattern: str) -> str | None:
    """What a text that does not match is told; None where nobody has said it yet."""
    if found := _ID.fullmatch(pattern):
        begins = " or ".join(found["prefixes"].strip("()").split("|"))
        return f"it is no such id: those begin with {begins}"
    return _WORDS.get(pattern)
