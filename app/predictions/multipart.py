"""A multipart body's files, from bytes that are already here and within the cap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.core.errors import HeadstartError
from app.http.routes import unknown
from app.uploads.forms import part_filename

MAX_PARTS = 1000
MAX_FIELD_BYTES = 1024 * 1024
_FIELDS = frozenset({"files"})


def files(body: bytes, content_type: str) -> list[bytes]:
    """Each part that has a filename, in order. Raises bad_request."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise HeadstartError("bad_request", "the multipart body names no boundary")
    collected = _Parts()
    try:
        parser = MultipartParser(boundary, cast(Any, collected.callbacks()))
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise HeadstartError("bad_request", f"the multipart body is broken: {error}") from error
    if not collected.ended:
        raise HeadstartError("bad_request", "the multipart body is cut short")
    return collected.files


class _Parts:
    """Hears the parser's events and keeps the files."""

    def __init__(self) -> None:
        self.files: list[bytes] = []
        self.ended = False
        self._parts = 0
        self._pieces: list[bytes] = []
        self._size = 0
        self._field = b""
        self._value = b""
        self._name = b""
        self._is_file = False

    def callbacks(self) -> dict[str, Callable[..., None]]:
        names = ("part_begin", "part_data", "part_end", "end")
        found = {f"on_{name}": getattr(self, f"_{name}") for name in names}
        return found | {
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
        }

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise HeadstartError("bad_request", f"more than {MAX_PARTS} parts")
        self._pieces, self._size, self._is_file = [], 0, False
        self._field = self._value = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._is_file = part_filename(self._value) is not None
            self._name = parse_options_header(self._value)[1].get(b"name", b"")
        self._field = self._value = b""

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if not self._is_file and self._size > MAX_FIELD_BYTES:
            raise HeadstartError("bad_request", "a form field is larger than 1 MiB")
        self._pieces.append(data[start:end])

    def _part_end(self) -> None:
        """Keep a file, whatever it is called; a field would be a wish that nobody hears."""
        if not self._is_file:
            raise unknown(self._name.decode("utf-8", "replace"), _FIELDS, what="form field")
        self.files.append(b"".join(self._pieces))
        self._pieces = []

    def _end(self) -> None:
        self.ended = True
