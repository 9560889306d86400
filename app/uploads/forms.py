"""A multipart form as it arrives: small fields are kept, each file goes to a sink."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.core.errors import HeadstartError
from app.http.routes import pairs_once

_EXTENDED = re.compile(rb";\s*filename\*\s*=\s*\"?([A-Za-z0-9_.-]*)'[^']*'([^;\"\s]*)\"?", re.I)
Sink = Callable[[bytes], None]
ENCODINGS = frozenset({b"", b"binary", b"7bit", b"8bit"})


@dataclass(frozen=True, slots=True)
class FormLimits:
    """How many parts and files a form may have, and how many bytes all of its fields together.

    `named`: whether a file's part must have a name, as RFC 7578 wants it; `file_field`: the usual
    one.
    """

    parts: int = 1000
    files: int = 1
    field_bytes: int = 1024 * 1024
    named: bool = True
    file_field: str = "file"
    instead: str | None = None
    """The field with which the file may be left out."""


class Form:
    """Feeds the parser; `open_file(name)` gives what takes a file's bytes.

    Fields may come before or after files.
    """

    def __init__(
        self, boundary: bytes, open_file: Callable[[str], Sink], limits: FormLimits
    ) -> None:
        self.fields: dict[str, str] = {}
        self.filenames: list[str] = []
        self.complete = False
        self._open_file = open_file
        self._sink: Sink | None = None
        self._limits = limits
        self._parts = 0
        self._kept = 0
        self._headers: dict[bytes, bytes] = {}
        self._header = (bytearray(), bytearray())
        self._field: tuple[str, bytearray] | None = None
        self._parser = self._make_parser(boundary)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body. Raises bad_request or invalid_value."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise bad("the multipart body is malformed") from error

    def _make_parser(self, boundary: bytes) -> MultipartParser:
        try:
            return MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": lambda data, start, end: self._hear(0, data[start:end]),
                    "on_header_value": lambda data, start, end: self._hear(1, data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._take,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise bad("the multipart boundary is malformed") from error

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > self._limits.parts:
            raise bad(f"the form has more than {self._limits.parts} parts")
        self._headers = {}
        self._field = None

    def _hear(self, half: int, data: bytes) -> None:
        self._header[half].extend(data)

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = (bytearray(), bytearray())

    def _end_headers(self) -> None:
        """Decide by the part's headers whether it is the file or a field."""
        disposition = self._headers.get(b"content-disposition", b"")
        kind, options = parse_options_header(disposition)
        name = options.get(b"name")
        shown = part_filename(disposition, options)
        if kind != b"form-data" or (name is None and (shown is None or self._limits.named)):
            raise bad("a part has no name")
        encoding = self._headers.get(b"content-transfer-encoding", b"").strip().lower()
        if encoding not in ENCODINGS:
            raise bad("parts may not be transfer-encoded")
        if shown is not None:
            self._begin_file(file_name(shown))
        elif name == (field := self._limits.file_field).encode():
            why = f"`{field}` came without a filename, as a text: send a file"
            told = f"{why} (curl: -F {field}=@path)"
            raise HeadstartError("invalid_request", told, param=field)
        elif name is not None:
            self._field = (_decoded(name, "a field's name"), bytearray())

    def _begin_file(self, name: str) -> None:
        if len(self.filenames) >= self._limits.files:
            raise bad("the form has more than one file")
        self.filenames.append(name)
        self._sink = self._open_file(name)

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            assert self._sink is not None
            self._sink(data[start:end])
            return
        self._kept += end - start
        if self._kept > self._limits.field_bytes:
            raise bad(f"the form's fields have more than {self._limits.field_bytes:,} bytes")
        self._field[1].extend(data[start:end])

    def _end_part(self) -> None:
        if self._field is not None:
            name, text = self._field[0], _decoded(bytes(self._field[1]), self._field[0])
            former = self.fields.get(name, text)
            self.fields.update(pairs_once([(name, former), (name, text)]))

    def _end(self) -> None:
        self.complete = True


def part_filename(disposition: bytes, options: Mapping[bytes, bytes]) -> str | None:
    """What a part's Content-Disposition, whose `options` these are, calls its file, if it is one.

    `filename*` (RFC 5987) goes before `filename`, which may hold what mail would (RFC 2047).
    """
    extended = _EXTENDED.search(disposition)
    if extended:
        charset = extended[1].decode("ascii").lower()
        with suppress(LookupError, ValueError):  # whoever sends it names one of Python's codecs
            return unquote_to_bytes(extended[2]).decode(charset or "utf-8")
    plain = options.get(b"filename")
    if plain is None:
        return None
    name = plain.decode("utf-8", "replace")
    if not name.startswith("=?"):
        return name
    try:
        return str(make_header(decode_header(name)))
    except (LookupError, ValueError, HeaderParseError):
        return name


def file_name(name: str) -> str:
    """The last part of a file's name, short and printable; only shown and matched, never opened."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(mark for mark in last if mark.isprintable())[-200:] or "upload"


def bad(why: str) -> HeadstartError:
    """The request cannot be read."""
    return HeadstartError("bad_request", why)


def _decoded(value: bytes, name: str) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise bad(f"{name} is not UTF-8") from error
    if "\0" in text:
        raise HeadstartError("invalid_value", f"{name} has a NUL character", param=name)
    return text
