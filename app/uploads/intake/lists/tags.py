"""XML as a stream of tags: no tree, no entities, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple, NoReturn
from xml.parsers import expat

from app.core.errors import HeadstartError

STEP = 64 * 1024
MOST_BYTES = 128 * 1024 * 1024
MOST_TEXT = 10_000
"""Characters of text in one element that are kept."""


class Tag(NamedTuple):
    """A tag that opens, with its attributes, or one that closes, with the text in it."""

    opens: bool
    name: str
    attributes: Mapping[str, str]
    text: str = ""


def tags(file: BinaryIO, name: str) -> Iterator[Tag]:
    """The tags in order. Raises schema_mismatch for what is no XML, or has a document type."""
    parser = expat.ParserCreate()
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
    while True:
        data = file.read(STEP)
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
