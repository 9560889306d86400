"""The digits that come along, as a zip of class folders: ten of each to learn from, twenty to test.

UCI's handwritten digits (app/cli/digits.md), scans of 8 by 8.
"""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from app.console.files import StaticFile

_TRAIN, _TEST = 10, 20
_SCALE = 8
"""Pixels a side that each of a scan's becomes, so that people can see it."""
_EPOCH = (1980, 1, 1, 0, 0, 0)


@cache
def digits_zip() -> StaticFile:
    """The zip, the same bytes every time."""
    seen: Counter[str] = Counter()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for digit, grey in scans():
            nth = seen[digit]
            if nth < _TRAIN + _TEST:
                split = "train" if nth < _TRAIN else "test"
                name = f"digits/{split}/digit {digit}/{digit}-{nth:02}.png"
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), png(grey))
            seen[digit] += 1
    return StaticFile.of(out.getvalue(), media_type="application/zip", packs=False)


def scans() -> Iterator[tuple[str, list[int]]]:
    """Each scan's digit, and its 64 values from 0 to 16, row by row."""
    with gzip.open(Path(__file__).parents[1] / "cli/digits.csv.gz", "rt") as lines:
        for line in lines:
            *grey, digit = line.strip().split(",")
            yield digit, list(map(int, grey))


def png(grey: Sequence[int]) -> bytes:
    """8 by 8 values from 0 to 16 as an 8-bit grey PNG, enlarged."""
    side = 8 * _SCALE
    rows = b""
    for y in range(8):
        row = b"".join(bytes([grey[8 * y + x] * 255 // 16]) * _SCALE for x in range(8))
        rows += (b"\0" + row) * _SCALE
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
