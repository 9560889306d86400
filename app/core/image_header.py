"""What an image's first bytes say: format, size and frames, and whether we take it.

The one table of image limits: the app asks it about each upload, the worker before it decodes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from app.core import image_formats as read
from app.core.errors import HeadstartError
from app.core.image_formats import dicom, heif, jpeg2000, pnm

ImageFormat = Literal[
    "png", "jpeg", "webp", "bmp", "gif", "tiff", "jp2", "heic", "avif", "pnm", "dicom"
]  # fmt: skip
READ = "PNG, JPEG, WebP, BMP, GIF, TIFF, JPEG 2000, HEIC, AVIF, PNM and DICOM are read"

MEDIA_TYPES: Mapping[ImageFormat, str] = {
    "png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "bmp": "image/bmp",
    "gif": "image/gif", "tiff": "image/tiff", "jp2": "image/jp2", "heic": "image/heic",
    "avif": "image/avif", "pnm": "image/x-portable-anymap", "dicom": "application/dicom",
}  # fmt: skip
MAX_PIXELS = 89_478_485
"""Where Pillow, too, begins to speak of a decompression bomb: 256 MiB of RGB."""
MAX_SIDE = 30_000
MAX_ASPECT = 200
_MAGICS: dict[ImageFormat, tuple[bytes, ...]] = {
    "png": (b"\x89PNG\r\n\x1a\n",),
    "jpeg": (b"\xff\xd8\xff",),
    "gif": (b"GIF87a", b"GIF89a"),
    "tiff": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "jp2": (jpeg2000.BOXES, jpeg2000.STREAM),
}
FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"%!PS", "EPS"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"%PDF", "PDF"),
    (b"8BPS", "PSD"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"SIMPLE  =", "FITS"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "HDR"),
    (b"qoif", "QOI"),
    (b"version https://git-lfs", "a pointer of Git LFS, which `git lfs pull` replaces by the file"),
)


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Width and height in pixels as stored (before any EXIF rotation); frames in the file."""

    format: ImageFormat
    width: int
    height: int
    frames: int = 1


def inspect(data: bytes) -> ImageHeader:
    """The header of `data`; raises image_invalid, image_truncated, unsupported_image_format,
    image_too_large, image_dimensions or too_many_frames."""
    image_format = sniff(data)
    try:
        width, height = _SIZES[image_format](data)
        check_size(width, height)
        frames = _FRAMES[image_format](data) if image_format in _FRAMES else 1
    except (struct.error, IndexError, OverflowError) as error:
        raise HeadstartError("image_truncated", "the image ends inside its header") from error
    if frames > read.MAX_FRAMES:
        raise HeadstartError("too_many_frames", f"the image has more than {read.MAX_FRAMES} frames")
    return ImageHeader(image_format, width, height, frames)


def measured(head: bytes) -> ImageHeader:
    """What the first bytes of a checked image say; its frames are not counted.

    Raises image_invalid, image_truncated or unsupported_image_format.
    """
    image_format = sniff(head)
    try:
        return ImageHeader(image_format, *_SIZES[image_format](head))
    except (struct.error, IndexError, OverflowError) as error:
        raise HeadstartError("image_truncated", "the image ends inside its header") from error


def sniff(data: bytes) -> ImageFormat:
    """The format by content alone; raises image_invalid or unsupported_image_format."""
    for image_format, magics in _MAGICS.items():
        if data.startswith(magics):
            return image_format
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith(b"BM") and len(data) >= 26:
        return "bmp"
    further = _further(data)
    if further is not None:
        return further
    raise _refusal(data)


def _further(data: bytes) -> ImageFormat | None:
    """The format of what phones, scanners and hospitals write."""
    if pnm.is_pnm(data):
        return "pnm"
    return "dicom" if dicom.is_dicom(data) else heif.still(data)


def check_size(width: int, height: int) -> None:
    """Raises image_invalid, image_too_large or image_dimensions."""
    if width < 1 or height < 1:
        raise HeadstartError("image_invalid", "the image has no pixels")
    if width * height > MAX_PIXELS:
        raise HeadstartError(
            "image_too_large", f"{width} x {height} pixels; the limit is {MAX_PIXELS:,} in all"
        )
    longest, shortest = max(width, height), min(width, height)
    if longest > MAX_SIDE or longest > MAX_ASPECT * shortest:
        raise HeadstartError(
            "image_dimensions",
            f"{width} x {height} pixels; a side may have {MAX_SIDE:,}, "
            f"and {MAX_ASPECT} times the other",
        )


def _refusal(data: bytes) -> HeadstartError:
    if not data.strip(b"\0"):
        return HeadstartError("image_invalid", "the image is empty" if not data else "only zeros")
    named = foreign(data)
    if named:
        return HeadstartError(
            "unsupported_image_format",
            f"the content is {named}; {READ}",
        )
    return HeadstartError("image_invalid", "the content is no image that is understood")


def foreign(data: bytes) -> str | None:
    """The name of a format that is recognised but not read."""
    if data[4:8] == b"ftyp":
        return "a film (MP4 or QuickTime)"
    for magic, name in FOREIGN:
        if data.startswith(magic):
            return name
    head = data[:1024].lstrip(b"\xef\xbb\xbf\xfe\xff\0 \t\r\n").lower()
    if b"<svg" in head:
        return "SVG"
    return "markup" if head.startswith((b"<?xml", b"<!doctype", b"<html")) else None


_SIZES: dict[ImageFormat, Callable[[bytes], tuple[int, int]]] = {
    "png": read.png_size,
    "jpeg": read.jpeg_size,
    "webp": read.webp_size,
    "bmp": read.bmp_size,
    "gif": read.gif_size,
    "tiff": read.tiff_size,
    "jp2": jpeg2000.jpeg2000_size,
    "heic": heif.heif_size,
    "avif": heif.heif_size,
    "pnm": pnm.pnm_size,
    "dicom": dicom.dicom_size,
}
_FRAMES: dict[ImageFormat, Callable[[bytes], int]] = {
    "png": read.png_frames,
    "webp": read.webp_frames,
    "gif": read.gif_frames,
    "tiff": read.tiff_frames,
    "pnm": pnm.pnm_frames,
    "dicom": dicom.dicom_frames,
}
