"""JPEG 2000, as a file of boxes (JP2, JPX) or as a bare codestream (ISO/IEC 15444-1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from app.core.errors import HeadstartError

BOXES = b"\x00\x00\x00\x0cjP  "
STREAM = b"\xff\x4f\xff\x51"
_MOST_BOXES = 1_000


@dataclass(frozen=True, slots=True)
class StreamHeader:
    """What a codestream's SIZ marker says: sides, components, and the most bits of a sample."""

    width: int
    height: int
    components: int
    bits: int


def jpeg2000_size(data: bytes) -> tuple[int, int]:
    """Width and height. Raises image_invalid."""
    head = jpeg2000_header(data)
    return head.width, head.height


def jpeg2000_header(data: bytes) -> StreamHeader:
    """By the codestream's own header. Raises image_invalid."""
    at = _codestream(data)
    right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
    components = struct.unpack_from(">H", data, at + 40)[0]
    if not 1 <= components <= 4:
        why = f"a JPEG 2000 of {components} components; 1 to 4 are read"
        raise HeadstartError("image_invalid", why)
    bits = max((data[at + 42 + 3 * one] & 0x7F) + 1 for one in range(components))
    return StreamHeader(right - left, bottom - top, components, bits)


def _codestream(data: bytes) -> int:
    """Where the codestream begins, in the first `jp2c` box or at once."""
    at = 0
    for _ in range(_MOST_BOXES):
        if data.startswith(STREAM, at):
            return at
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 16 if size == 1 else 8
        if size == 1:
            size = int(struct.unpack_from(">Q", data, at + 8)[0])
        if kind == b"jp2c" and data.startswith(STREAM, at + head):
            return at + head
        if size < head or kind == b"jp2c":
            break
        at += size
    raise HeadstartError("image_invalid", "a JPEG 2000 without a codestream")
