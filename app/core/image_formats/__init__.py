"""One reader a format: sizes and frames from the first bytes, without decoding a pixel.

Every reader takes time and memory bounded by the bytes it is given: sizes are read, never
allocated, and chains (segments, chunks, blocks, directories) are followed to a stated length.
A struct.error or an IndexError from here means that the data end too early.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from app.core.errors import HeadstartError

MAX_FRAMES = 1_000
MAX_STEPS = 200_000
"""Segments, chunks or blocks that are followed before an image counts as made to waste time."""


def png_size(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise HeadstartError("image_invalid", "a PNG without its header chunk")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def png_frames(data: bytes) -> int:
    """APNG's count, which must come before the pixels."""
    at = 8
    for _ in range(MAX_STEPS):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"acTL":
            return max(1, int(struct.unpack_from(">I", data, at + 8)[0]))
        if kind == b"IDAT":
            return 1
        at += 12 + length
    raise _tangled()


_PNG_NOTES = frozenset({b"iCCP", b"tEXt", b"zTXt", b"iTXt"})


def png_without_notes(data: bytes) -> bytes:
    """The same PNG without its profile and texts; cut short where its chunks are."""
    kept, at = [data[:8]], 8
    for _ in range(MAX_STEPS):
        if at + 8 > len(data):
            return b"".join(kept)
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind not in _PNG_NOTES:
            kept.append(data[at : at + 12 + length])
        at += 12 + length
    raise _tangled()


def jpeg_size(data: bytes) -> tuple[int, int]:
    height, width = struct.unpack_from(">HH", data, _jpeg_frame(data) + 5)
    return width, height


def jpeg_bits(data: bytes) -> int:
    """Of a sample: 8, where it is no medical or machine camera's."""
    return data[_jpeg_frame(data) + 4]


def _jpeg_frame(data: bytes) -> int:
    """Where the frame header's marker is."""
    at = 2
    for _ in range(MAX_STEPS):
        if data[at] != 0xFF:
            raise HeadstartError("image_invalid", "a JPEG with damaged segments")
        marker = data[at + 1]
        if marker in _JPEG_FRAMES:
            return at
        if marker in (0xD9, 0xDA):
            raise HeadstartError("image_invalid", "a JPEG without its frame header")
        at += _jpeg_step(data, at, marker)
    raise _tangled()


_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""0xF7 is JPEG-LS's, as DICOM holds it."""


def _jpeg_step(data: bytes, at: int, marker: int) -> int:
    if marker == 0xFF:
        return 1
    if marker == 0x01 or 0xD0 <= marker <= 0xD8:
        return 2
    length = int(struct.unpack_from(">H", data, at + 2)[0])
    if length < 2:
        raise HeadstartError("image_invalid", "a JPEG with damaged segments")
    return 2 + length


def bmp_size(data: bytes) -> tuple[int, int]:
    header = struct.unpack_from("<I", data, 14)[0]
    if header == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    elif 16 <= header <= 256:
        width, height = struct.unpack_from("<ii", data, 18)
    else:
        raise HeadstartError("image_invalid", "a BMP with an unknown header")
    return width, abs(height)


def webp_size(data: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 4)[0] + 8 > len(data):
        raise HeadstartError("image_truncated", "the WebP is shorter than it says")
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise HeadstartError("image_invalid", "a WebP with an unknown first chunk")


def webp_frames(data: bytes) -> int:
    frames, at = 0, 12
    for _ in range(MAX_STEPS):
        if at + 8 > len(data) or frames > MAX_FRAMES:
            return max(1, frames)
        kind, length = struct.unpack_from("<4sI", data, at)
        frames += kind == b"ANMF"
        at += 8 + length + (length & 1)
    raise _tangled()


def gif_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def gif_frames(data: bytes) -> int:
    at = 13 + _colours(data[10])
    frames, steps = 0, iter(range(MAX_STEPS))
    for _ in steps:
        block = data[at] if at < len(data) and frames <= MAX_FRAMES else 0x3B
        if block == 0x2C:
            at = _blocks_end(data, at + 11 + _colours(data[at + 9]), steps, complete=frames == 0)
            frames += 1
        elif block == 0x21:
            at = _blocks_end(data, at + 2, steps, complete=frames == 0)
        else:
            break
    else:
        raise _tangled()
    if not frames:
        raise HeadstartError("image_truncated", "a GIF without a frame")
    return frames


def _colours(flags: int) -> int:
    """Bytes of the colour table that `flags` announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks_end(data: bytes, at: int, steps: Iterator[int], *, complete: bool) -> int:
    """Where a chain of sub-blocks ends; later frames than the first may be cut off.

    `steps` are what is left of the image's, however many chains it has.
    """
    for _ in steps:
        if at >= len(data) and not complete:
            return at
        length = data[at]
        at += 1 + length
        if not length:
            return at
    raise _tangled()


def _tangled() -> HeadstartError:
    return HeadstartError("image_invalid", f"the header has more than {MAX_STEPS:,} parts")


def _tiff_directory(data: bytes, at: int) -> tuple[dict[int, int], int]:
    """Width (256) and height (257) of the directory at `at`, and where the next one is."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    count = struct.unpack_from(order + ("Q" if big else "H"), data, at)[0]
    head, step, value = (8, 20, 12) if big else (2, 12, 8)
    end = at + head + count * step
    following = struct.unpack_from(order + ("Q" if big else "I"), data, end)[0]
    sides: dict[int, int] = {}
    for entry in range(at + head, min(end, at + head + 64 * step), step):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag in (256, 257) and kind in (3, 4, 16):
            code = {3: "H", 4: "I", 16: "Q"}[kind]
            sides[tag] = struct.unpack_from(order + code, data, entry + value)[0]
    return sides, following


def _tiff_first(data: bytes) -> int:
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    return int(struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0])


def tiff_size(data: bytes) -> tuple[int, int]:
    sides, _ = _tiff_directory(data, _tiff_first(data))
    if sides.keys() != {256, 257}:
        raise HeadstartError("image_invalid", "a TIFF that does not say its size")
    return sides[256], sides[257]


def tiff_frames(data: bytes) -> int:
    frames, at, seen = 0, _tiff_first(data), set[int]()
    while at and at not in seen and frames <= MAX_FRAMES:
        seen.add(at)
        frames += 1
        at = _tiff_directory(data, at)[1]
    return frames
