"""Texts and pictures as requests write them. A bad one stays in its place as an error."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping

from app.core.errors import HeadstartError
from app.core.messages import Input, failed
from app.core.texts import NOTHING_TO_READ, is_seen

MAX_TEXT_BYTES = 1024 * 1024
_BASE64_PIECE = 1024 * 1024
"""Characters that are decoded together: the decoder holds up every thread for 3 ms meanwhile."""
_STANDARD = bytes.maketrans(b"-_", b"+/")


def image_bytes(text: str) -> Input:
    """An image given as base64 or as a `data:` URL."""
    if text.startswith("data:"):
        _, _, text = text.partition(",")
    try:
        return Input("image", _decoded(_canonical(text.encode("ascii"))))
    except (ValueError, binascii.Error):
        return failed(HeadstartError("image_invalid", "the image is not valid base64"))


def text_bytes(text: str) -> Input:
    """A text as UTF-8; one with nothing to read is refused, as a dataset refuses it."""
    if not is_seen(text):
        return failed(HeadstartError("invalid_value", NOTHING_TO_READ))
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return failed(HeadstartError("invalid_value", "the text has a lone surrogate"))
    if len(data) > MAX_TEXT_BYTES:
        return failed(HeadstartError("text_too_long", "a text may have 1 MiB at most"))
    return Input("text", data)


def _canonical(encoded: bytes) -> bytes:
    """Base64 in one line, padded, with + and /: others break lines, pad not, or write for URLs."""
    if len(encoded) % 4 == 0 and not any(mark in encoded for mark in (b"\n", b"-", b"_")):
        return encoded
    line = encoded.translate(_STANDARD, b" \t\r\n").rstrip(b"=")
    return line + b"=" * (-len(line) % 4)


def _decoded(encoded: bytes) -> bytes:
    """What base64 stands for. Raises binascii.Error; of a piece that ends early, too."""
    pieces: list[bytes] = []
    for start in range(0, len(encoded), _BASE64_PIECE):
        if start and len(pieces[-1]) * 4 != _BASE64_PIECE * 3:
            raise binascii.Error("padding before the end")
        piece = encoded[start : start + _BASE64_PIECE]
        pieces.append(binascii.a2b_base64(piece, strict_mode=True))
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


READ: Mapping[str, Callable[[str], Input]] = {"image": image_bytes, "text": text_bytes}
"""How each modality's input is read that JSON says as a string."""
