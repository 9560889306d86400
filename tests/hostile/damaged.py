"""Pictures that only a full decode finds to be broken, and odd ones that it finds to be sound."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from PIL import Image

_RANDOM = np.random.default_rng(5)
_RGB = Image.fromarray(_RANDOM.integers(0, 256, (60, 60, 3), np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The picture as a file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _noisy(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (60, 60, 3), np.uint8))


ACCEPTED: Mapping[str, bytes] = {
    "disc/cmyk.jpg": encoded(_noisy(1).convert("CMYK"), "JPEG"),
    "disc/deep.png": encoded(
        Image.fromarray(_RANDOM.integers(0, 65536, (60, 60), np.uint16)), "PNG"
    ),
    "disc/palette.png": encoded(_noisy(2).quantize(64), "PNG"),
    "bar/alpha.png": encoded(_noisy(3).convert("RGBA"), "PNG"),
    "bar/rotated.jpg": encoded(_noisy(4), "JPEG", exif=_turned()),
}
BROKEN: Mapping[str, bytes] = {
    "disc/cut.jpg": encoded(_RGB, "JPEG")[:-900],
    "bar/cut.png": encoded(_RGB, "PNG")[:-2000],
}
PROBLEMS = {"disc/cut.jpg": "image_truncated", "bar/cut.png": "image_truncated"}
