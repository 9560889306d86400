"""The first frame of a compressed DICOM, whose fragments may be several a frame (PS3.5, A.4)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Protocol

from app.core.errors import HeadstartError

_BEGINS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
"""How JPEGs, JPEG-LS and JPEG 2000 begin."""
_NOTES = frozenset({*range(0xE0, 0xF0), 0xFE}) - {0xE0, 0xE8, 0xEE}
"""JPEG's comments and application segments; JFIF's, Adobe's and JPEG-LS's say what colours are."""


class Span(Protocol):
    """Where a fragment lies."""

    @property
    def start(self) -> int: ...

    @property
    def end(self) -> int: ...


def first_fragments(data: bytes, spans: Sequence[Span], frames: int) -> bytes:
    """The first frame's bytes; `spans` are the offset table and then the fragments.

    Raises image_truncated where there is none.
    """
    if len(spans) < 2:
        raise HeadstartError("image_truncated", "the DICOM has no frame")
    table, *fragments = spans
    count = _of_first(data, table, fragments, frames)
    packed = b"".join(data[one.start : one.end] for one in fragments[:count])
    packed = _without_notes(packed)
    return packed + b"\0" * (len(packed) % 2)


def _of_first(data: bytes, table: Span, fragments: Sequence[Span], frames: int) -> int:
    """How many fragments the first frame has."""
    if frames <= 1:
        return len(fragments)
    if table.end - table.start >= 8:
        second = int(struct.unpack_from("<I", data, table.start + 4)[0]) + fragments[0].start - 8
        return max(1, sum(one.start - 8 < second for one in fragments))
    if len(fragments) == frames:
        return 1
    later = range(1, len(fragments))
    return next((at for at in later if data.startswith(_BEGINS, fragments[at].start)), 1)


def _without_notes(packed: bytes) -> bytes:
    """A JPEG without its comments and notes, which may name a patient; others as they are."""
    if not packed.startswith(b"\xff\xd8"):
        return packed
    kept, at = [packed[:2]], 2
    while at + 4 <= len(packed) and packed[at] == 0xFF and packed[at + 1] not in (0xDA, 0xFF):
        size = 2 + struct.unpack_from(">H", packed, at + 2)[0]
        if packed[at + 1] not in _NOTES:
            kept.append(packed[at : at + size])
        at += size
    return b"".join([*kept, packed[at:]])
