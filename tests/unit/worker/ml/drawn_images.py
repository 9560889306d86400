"""Pictures made for tests: smooth, so that codecs keep them, and different in every corner."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def picture(width: int = 120, height: int = 80) -> NDArray[np.uint8]:
    """[height, width, 3]: red grows to the right, green downwards, blue is the upper left."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    blue = np.clip(1 - 2 * np.hypot(x, y), 0, 1)
    return np.rint(255 * np.stack([x, y, blue], -1)).astype(np.uint8)


def encoded(pixels: NDArray[Any] | Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of a picture in a format."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """The mean absolute difference, in grey levels."""
    return float(np.abs(a.astype(int) - b.astype(int)).mean())
