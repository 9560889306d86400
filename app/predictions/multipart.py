"""A multipart body's files, from bytes that are already here and within the cap."""

from __future__ import annotations

from collections.abc import Callable

from python_multipart.multipart import parse_options_header

from app.http.routes import unknown
from app.uploads.forms import Form, FormLimits, bad

_LIMITS = FormLimits(files=1000, named=False)
_FIELDS = frozenset({"files"})


def files(body: bytes, content_type: str) -> list[bytes]:
    """Each part that has a filename, in order; a field would be a wish that nobody hears.

    Raises bad_request, and invalid_request for a field.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise bad("the multipart body names no boundary")
    contents: list[list[bytes]] = []

    def keep(_filename: str) -> Callable[[bytes], None]:
        contents.append([])
        return contents[-1].append

    form = Form(boundary, keep, _LIMITS)
    form.feed(body)
    if not form.complete:
        raise bad("the multipart body is cut short")
    for name in form.fields:
        raise unknown(name, _FIELDS, what="form field")
    found = [b"".join(pieces) for pieces in contents]
    for pieces in contents:  # a form and its parser hold each other, and with them what is in it
        pieces.clear()
    return found
