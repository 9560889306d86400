"""Texts from outside: what short ones may hold, and when two of them are the same."""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from functools import lru_cache

INVISIBLE = (
    "\\u0000-\\u001f\\u007f-\\u009f"  # control characters
    "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"  # direction marks and isolates
    "\\u2028\\u2029"  # line separators
)
PRINTABLE = f"^[^{INVISIBLE}]*[^{INVISIBLE}\\s][^{INVISIBLE}]*$"
"""Something to see, and nothing that hides or reorders it."""


_TRUTHS = frozenset({"True", "TRUE", "False", "FALSE"})
TRUTHS = _TRUTHS | {"true", "false"}
"""How JSON, Python and spreadsheets write true and false."""


def plain(label: str) -> str:
    """A label of a table without blanks around it; what pandas and workbooks make of true and false
    is written as JSON does."""
    label = label.strip()
    return label.lower() if label in _TRUTHS else label


def truth_spelled(label: str, beside: Collection[str], known: Collection[str]) -> str:
    """A label that says true or false, as the `known` labels spell it, if they do in one way.

    Else as it stands where a word is `beside` it that says neither, as a name of a class among
    others; where there are only numbers and truths, or several ways meet, as JSON writes it.
    """
    if label not in TRUTHS or label in known:
        return label
    ways = [{one for one in some if _says(one, label)} for some in (known, beside)]
    if ways[0]:
        return ways[0].pop() if len(ways[0]) == 1 else label
    named = any(any(map(str.isalpha, one)) for one in {*known, *beside} - TRUTHS)
    return label if named and len(ways[1] | {label}) == 1 else label.lower()


def _says(one: str, label: str) -> bool:
    return one in TRUTHS and one.lower() == label.lower()


def digits(text: str) -> int | None:
    """The number that 1 to 18 ASCII digits write; None for anything else, `\u00b2` included."""
    return int(text) if len(text) <= 18 and text.isascii() and text.isdigit() else None


_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff\x00-\x1f\x7f-\x9f]"
)
"""Characters that leave nothing to see: Unicode's Default_Ignorable_Code_Point and controls."""


NOTHING_TO_READ = "the text is empty: there is nothing in it to read"


def composed(text: str) -> str:
    """The text in NFC, which is how most of it is typed anyway."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def canonical(text: str) -> str:
    """The same for texts that differ only in composition, line ends and blanks around them."""
    return composed(text).replace("\r\n", "\n").replace("\r", "\n").strip()


def identity(data: bytes) -> str | None:
    """The sha256 of a UTF-8 text's canonical form, None where the text is in it already."""
    form = canonical(data.decode()).encode()
    return None if form == data else hashlib.sha256(form).hexdigest()


def squeezed(text: str) -> str:
    """The same for names that differ only in case, blanks, composition or what cannot be seen."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("i\u0307", "i")
    return "".join(_HIDDEN.sub(_in_emoji, unicodedata.normalize("NFKC", folded)).split())


def _in_emoji(mark: re.Match[str]) -> str:
    """The mark where an emoji needs it (a joiner between two, a flag's tags), else nothing."""
    before, after = mark.string[: mark.start()].rstrip(_MODIFIERS), mark.string[mark.end() :]
    joins = mark[0] == "\u200d" and before and after
    if joins and unicodedata.category(before[-1]) == unicodedata.category(after[0]) == "So":
        return mark[0]
    tags = "\U000e0020" <= mark[0] <= "\U000e007f"
    return mark[0] if tags and before.rstrip(_TAGS).endswith("\U0001f3f4") else ""


_MODIFIERS = "\ufe0e\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
_TAGS = "".join(map(chr, range(0xE0020, 0xE0080)))
"""What spells a region behind a black flag: England's, Scotland's (UTS 51)."""


def alike(label: str) -> str:
    """The same for labels that differ in case, blanks, `_`, `-` or what cannot be seen alone.

    What parts two numbers, stands before one or behind a word says something: `1-2`, `-1`, `A-`.
    """
    text = _SIGN.sub("\u2212", label.translate(_DASHES))
    return _JOINTS.sub(_joint, squeezed(text)).replace("\u2212", "-")


def unescaped(label: str) -> str:
    """What a label said before tools wrote it otherwise: escapes of characters and bytes, tags and
    quotation marks around it, fastText's mark, UTF-8 read as an encoding of one byte a character,
    typographic marks, other scripts' digits, and letters of Arabic script in another's place.
    """
    for _ in range(_TOOLS):
        before, label = label, _unmade(label)
        if label == before:
            break
    return "".join(map(_digit, label.translate(_TYPED)))


_TOOLS = 6
"""So many may have written a label one after the other."""


def _unmade(label: str) -> str:
    """The label before the last tool; itself where nothing would be left, or none is known."""
    text = _CODE.sub(_of_code, _BYTES.sub(_of_bytes, label.removeprefix("__label__")))
    text = _BACKSLASHED.sub(r"\1", _PLUS.sub(" ", text))
    text = _TAG.sub("", html.unescape(_decoded(text))).strip()
    if found := _PRINTED.fullmatch(text):
        text = found[1]
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    return text or label


def _of_code(escape: re.Match[str]) -> str:
    return chr(int(escape[1] or escape[2], 16))


def _of_bytes(escape: re.Match[str]) -> str:
    """What bytes written as hexadecimal digits say in UTF-8; as they stand where they are none."""
    with suppress(UnicodeError):
        return bytes.fromhex(_LEADS.sub("", escape[0])).decode()
    return escape[0]


def _digit(mark: str) -> str:
    return mark if mark.isascii() or not mark.isdecimal() else str(unicodedata.decimal(mark))


def _decoded(label: str) -> str:
    """The label that was UTF-8, and read as another; itself where it was not."""
    for encoding in ("cp1252", "latin-1"):
        with suppress(UnicodeError):
            return label.encode(encoding).decode("utf-8")
    return label


def by_word(labels: Iterable[str]) -> dict[str, str]:
    """Each label by what `alike` makes of it, but such as others are alike."""
    listed = list(labels)
    counts = Counter(map(alike, listed))
    return {alike(label): label for label in listed if counts[alike(label)] == 1}


def _joint(mark: re.Match[str]) -> str:
    before, after = mark.string[: mark.start()][-1:], mark.string[mark.end() :][:1]
    if before.isdigit() and after.isdigit():
        return "-"
    return "-" if "-" in mark[0] and not (before.isalnum() and after.isalnum()) else ""


_TAG = re.compile(r"</?[a-z][a-z0-9]*(?:\s[^<>]*)?/?>", re.IGNORECASE)
_QUOTES = {'"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb"}
_CODE = re.compile(r"\\u(?!d[89a-f])([0-9a-f]{4})|_x(?!d[89a-f])([0-9a-f]{4})_", re.IGNORECASE)
"""A character as JSON escapes it, and as workbooks do."""
_BYTES = re.compile(r"(?:%[0-9a-f]{2})+|(?:\\x[0-9a-f]{2})+|(?:=[89a-f][0-9a-f])+", re.IGNORECASE)
_LEADS = re.compile(r"%|\\x|=")
"""Bytes as addresses, Python and mails escape them."""
_PLUS = re.compile(r"(?<=[^\W\d_]{2})\+(?=[^\W\d_]{2})")
"""A blank as a form's fields have it, between two words: `C++` and `A+` say something."""
_BACKSLASHED = re.compile(r"\\([\"'/])")
_PRINTED = re.compile(r"b((['\"]).+\2)")
"""Bytes as Python prints them."""
_TYPED = str.maketrans(
    "\u2018\u2019\u201a\u201b\u02bc\u02bb\u2032\u00b4`\u201c\u201d\u201e\u201f\u2033\ufffd"
    "\u0622\u0623\u0625\u0671\u0649\u06cc\u06a9\u06c1",
    "'''''''''\"\"\"\"\"?\u0627\u0627\u0627\u0627\u064a\u064a\u0643\u0647",
)
"""Apostrophes and quotation marks as phones and word processors set them, what stands for a letter
that was lost; alef with what stands on it, and the yeh, kaf and heh of Persian and Urdu."""
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-")
_SIGN = re.compile(r"(?<![^\s(\[,;:])-(?=[0-9.])")
_JOINTS = re.compile(r"[_-]+")


def is_seen(text: str) -> bool:
    """Whether anything of the text can be seen."""
    begins = text[:1].isascii() and text[:1].isalnum()
    return begins or bool(_HIDDEN.sub("", text).strip())


def visible(text: str) -> str:
    """The text with what cannot be seen written out, `\u200b` for a zero-width space."""
    return _HIDDEN.sub(lambda mark: _escaped(mark[0]), text)


def few(said: Sequence[str], most: int = 5) -> str:
    """The first of them for a message, and how many more there are."""
    more = f" and {len(said) - most:,} more" if len(said) > most else ""
    return ", ".join(said[:most]) + more


def told_apart(texts: list[str]) -> list[str]:
    """Each text so that it differs from the others to the eye, escaped as far as it takes."""
    shown = [visible(text) for text in texts]
    looks = [unicodedata.normalize("NFC", text) for text in shown]
    if len(set(looks)) == len(looks):
        return shown
    return ["".join(mark if mark.isascii() else _escaped(mark) for mark in text) for text in shown]


def _escaped(mark: str) -> str:
    code = ord(mark)
    return f"\\U{code:08x}" if code > 0xFFFF else f"\\u{code:04x}"


_JOINED = {"CJK": "Han", "HALFWIDTH": "Katakana", "FULLWIDTH": "Latin", "IDEOGRAPHIC": "Han"}


def main_script(text: str) -> str | None:
    """The script that most of the letters are in, such as `Latin`; None where there is none."""
    counts = Counter(filter(None, map(_script, text)))
    return counts.most_common(1)[0][0] if counts else None


def scripts(texts: Iterable[str]) -> Counter[str]:
    """How many texts are mostly in each script; those without a letter count as `none`."""
    return Counter(main_script(text) or "none" for text in texts)


@lru_cache(maxsize=65_536)
def _script(character: str) -> str | None:
    if not character.isalpha():
        return None
    first = unicodedata.name(character, "UNKNOWN").partition(" ")[0].partition("-")[0]
    return _JOINED.get(first, first.capitalize())
