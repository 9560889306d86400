"""XML as a stream of tags: no tree, no entities, nothing fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import BinaryIO, NamedTuple, NoReturn
from xml.parsers import expat

from app.core.errors import HeadstartError

STEP = 64 * 1024
MOST_BYTES = 128 * 1024 * 1024
MOST_TEXT = 10_000
"""Characters of text in one element that are kept."""

_WIDE = re.compile(
    rb"""(\xef\xbb\xbf)?\s*<\?xml[^>]*encoding\s*=\s*["'](utf-?(16|32)|ucs)""", re.IGNORECASE
)
"""What begins so is read by the byte, and cannot be in the encoding that it declares: it was, and
is UTF-8 by now, or was written into a text by a program that holds texts so."""


class Tag(NamedTuple):
    """A tag that opens, with its attributes, or one that closes, with the text in it."""

    opens: bool
    name: str
    attributes: Mapping[str, str]
    text: str = ""


def tags(file: BinaryIO, name: str) -> Iterator[Tag]:
    """The tags in order. Raises schema_mismatch for what is no XML, or has a document type."""
    first = file.read(STEP)
    parser = expat.ParserCreate("utf-8" if _WIDE.match(first) else None)
    found: list[Tag] = []
    text: list[str] = []

    def opens(tag: str, attributes: dict[str, str]) -> None:
        text.clear()
        found.append(Tag(True, tag, attributes))

    def closes(tag: str) -> None:
        found.append(Tag(False, tag, {}, "".join(text).strip()))
        text.clear()

    def hear(data: str) -> None:
        if len(text) < MOST_TEXT:
            text.append(data[:MOST_TEXT])

    def refuse(*_: object) -> NoReturn:
        raise _wrong(name, "it has a document type, which is not read")

    parser.StartElementHandler, parser.EndElementHandler = opens, closes
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = hear, refuse
    read = 0
    for data in chain([first], iter(lambda: file.read(STEP), None)):
        read += len(data)
        if read > MOST_BYTES:
            raise _wrong(name, f"it has more than {MOST_BYTES:,} bytes")
        try:
            parser.Parse(data, not data)
        except (expat.ExpatError, UnicodeError, ValueError) as error:
            raise _wrong(name, f"it is no XML: {error}") from error
        yield from found
        found.clear()
        if not data:
            return


def _wrong(name: str, why: str) -> HeadstartError:
    return HeadstartError("schema_mismatch", f"{name}: {why}", param=name)
