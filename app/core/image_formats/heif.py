"""HEIF's stills, HEIC and AVIF: the size of the largest picture in the file's `meta` box.

Boxes are followed to `meta / iprp / ipco / ispe` (ISO/IEC 23008-12); nothing is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Literal

from app.core.errors import HeadstartError

HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
AVIF = frozenset({b"avif", b"avis"})
_OF_ANY = frozenset({b"mif1", b"msf1", b"mif2", b"miaf"})
"""Brands that leave the codec to the brands after them."""
_MOST_BOXES = 10_000
Boxes = Iterator[tuple[bytes, int, int]]


def still(data: bytes) -> Literal["heic", "avif"] | None:
    """`heic` or `avif` by the brands of the `ftyp` box; None for what is no still."""
    if data[4:8] != b"ftyp":
        return None
    end = min(struct.unpack_from(">I", data)[0], 256, len(data))
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4))]
    if brands[0] not in HEIC | AVIF | _OF_ANY:
        return None
    return "avif" if AVIF & set(brands) and not HEIC & {brands[0]} else "heic"


def heif_size(data: bytes) -> tuple[int, int]:
    """Width and height before any turn. Raises image_invalid."""
    sizes = [
        struct.unpack_from(">II", data, start + 4)
        for kind, start, end in _inside(data, (b"meta", b"iprp", b"ipco"))
        if kind == b"ispe" and end - start >= 12
    ]
    if not sizes:
        raise HeadstartError("image_invalid", "a HEIF file that does not say a picture's size")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return width, height


def _inside(data: bytes, path: tuple[bytes, ...]) -> Boxes:
    """The boxes in the first box of each name of `path`, one inside the other."""
    start, end = 0, len(data)
    for name in path:
        found = next((box for box in _boxes(data, start, end) if box[0] == name), None)
        if found is None:
            return iter(())
        _, start, end = found
        start += 4 if name == b"meta" else 0  # its version and flags
    return _boxes(data, start, end)


def _boxes(data: bytes, at: int, end: int) -> Boxes:
    """Kind, start and end of the content of each box between `at` and `end`."""
    for _ in range(_MOST_BOXES):
        if at + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 16 if size == 1 else 8
        if size == 1:
            size = int(struct.unpack_from(">Q", data, at + 8)[0])
        stop = end if size == 0 else at + size
        if stop < at + head:
            return
        yield kind, at + head, min(stop, end)
        at = stop
