"""Pictures as Custom Vision's clients send them: raw, or a part of a form that has no filename."""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.core.errors import HeadstartError
from app.uploads.forms import bad

_MOST_PARTS = 64


def pictures(body: bytes, content_type: str) -> list[bytes]:
    """The pictures of a body: every part of a form, or the body itself. Raises bad_request."""
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        if kind == b"application/json":
            why = "send the image's bytes, raw or as imageData of a form; addresses go to …/url"
            raise HeadstartError("unsupported_media_type", why)
        found = [body]
    else:
        found = _parts(body, options.get(b"boundary", b""))
    if not all(found) or not found:
        raise HeadstartError("image_invalid", "there is no image in the body", param="imageData")
    return found


def _parts(body: bytes, boundary: bytes) -> list[bytes]:
    parts: list[list[bytes]] = []
    complete = False

    def begin() -> None:
        parts.append([])
        if len(parts) > _MOST_PARTS:
            raise bad(f"the form has more than {_MOST_PARTS} parts")

    def end() -> None:
        nonlocal complete
        complete = True

    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": begin,
                "on_part_data": lambda data, start, stop: parts[-1].append(data[start:stop]),
                "on_end": end,
            },
        )
        parser.write(body)
    except FormParserError as error:
        raise bad("the multipart body is malformed") from error
    if not complete:
        raise bad("the multipart body is cut short")
    return [b"".join(pieces) for pieces in parts]
