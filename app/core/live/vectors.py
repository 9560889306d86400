"""Embeddings as rows keep them: little-endian half floats."""

from __future__ import annotations

import struct
from array import array
from base64 import b64decode


def halved(base64_floats: str) -> bytes:
    """Half floats of little-endian single ones in base64. Raises ValueError."""
    raw = b64decode(base64_floats)
    count = len(raw) // 4
    return struct.pack(f"<{count}e", *struct.unpack(f"<{count}f", raw))


def unpacked(halves: bytes) -> array[float]:
    """The numbers."""
    return array("f", struct.unpack(f"<{len(halves) // 2}e", halves))
