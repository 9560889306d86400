"""Image bytes → upright 8-bit RGB on white: libjpeg-turbo for plain JPEGs, Pillow for the rest."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from io import BytesIO

import numpy as np
import simplejpeg  # type: ignore[import-untyped,unused-ignore]
from numpy.typing import NDArray
from PIL import Image

from app.core.errors import HeadstartError
from app.core.image_header import ImageFormat, ImageHeader, check_size

Pixels = NDArray[np.uint8]
ORIENTATION = 0x0112
PILLOW: Mapping[ImageFormat, tuple[str, ...]] = {
    "png": ("PNG",), "jpeg": ("JPEG",), "webp": ("WEBP",),
    "bmp": ("BMP",), "gif": ("GIF",), "tiff": ("TIFF",),
}  # fmt: skip
DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, KeyError, TypeError,
    ZeroDivisionError, OverflowError, RuntimeError, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow's readers raise on damaged files, as its own fuzzers have found."""


def decode(data: bytes, header: ImageHeader, *, at_least: int | None) -> Pixels:
    """[h, w, 3]; a JPEG at least twice as large as `at_least` is decoded at half its size or less.

    Raises image_truncated, image_invalid, image_too_large or image_dimensions. Every pixel is
    read, so a file that is cut short is found.
    """
    try:
        with Image.open(BytesIO(data), formats=PILLOW[header.format]) as image:
            check_size(*image.size)
            return _oriented(_pixels(image, data, at_least), _orientation(image))
    except DAMAGE as error:
        raise _damaged(error) from error


def _pixels(image: Image.Image, data: bytes, at_least: int | None) -> Pixels:
    if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L"):
        pixels = _jpeg(data, at_least or 0)
        if pixels is not None:
            return pixels
    image.load()
    return _rgb(image)


def _jpeg(data: bytes, at_least: int) -> Pixels | None:
    """The same pixels as Pillow's, sooner; None where anything is irregular: that is Pillow's case.

    Scaling comes with the inverse DCT and keeps both sides ≥ `at_least`.
    """
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(
            data,
            min_height=at_least,
            min_width=at_least,
            min_factor=2 if at_least else 1,
            fastdct=False,
            fastupsample=False,
        )
    except ValueError:
        return None
    return pixels


def _rgb(image: Image.Image) -> Pixels:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        grey = _eight_bits(np.array(image))
        return np.repeat(grey[..., None], 3, axis=2)
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        return _on_white(image)
    return np.array(image.convert("RGB"))


def _on_white(image: Image.Image) -> Pixels:
    if image.mode in ("La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return np.array(Image.alpha_composite(white, rgba).convert("RGB"))


def _eight_bits(values: NDArray[np.generic]) -> Pixels:
    """Deep greys to 0..255: by the bits in use (12-bit scans lie in 16-bit files), or by range."""
    wide = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(wide.min()), float(wide.max())
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high < 65536 and values.dtype.kind != "f":
        bits = next(bits for bits in (8, 10, 12, 14, 16) if high < 2**bits)
        low, high = 0.0, float(2**bits - 1)
    return np.rint((wide - low) * (255 / ((high - low) or 1))).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except DAMAGE:
        return 1  # a damaged note on a sound picture
    return value if isinstance(value, int) else 1


def _oriented(pixels: Pixels, orientation: int) -> Pixels:
    """Undo the camera's turn, as EXIF numbers them (1 is upright)."""
    turn = _UPRIGHT.get(orientation)
    return np.ascontiguousarray(turn(pixels)) if turn else pixels


_UPRIGHT: Mapping[int, Callable[[Pixels], Pixels]] = {
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p, 1),
}


def _damaged(error: BaseException) -> HeadstartError:
    says = str(error)
    if isinstance(error, EOFError | struct.error) or "truncated" in says.lower():
        return HeadstartError("image_truncated", "the image ends before its last pixel")
    return HeadstartError("image_invalid", f"the image cannot be decoded: {says[:200]}")
