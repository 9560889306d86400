"""Image bytes → upright 8-bit RGB: libjpeg-turbo for plain JPEGs, `deep` for what has more than
eight bits a sample, Pillow for the rest; what is transparent is laid on a ground that shows it.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from io import BytesIO

import numpy as np
import simplejpeg  # type: ignore[import-untyped,unused-ignore]
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from app.core.errors import HeadstartError
from app.core.image_formats import jpeg_bits, png_without_notes
from app.core.image_header import ImageFormat, ImageHeader, check_size
from worker.ml.images import deep, transparency
from worker.ml.images.deep import Deep

Pixels = NDArray[np.uint8]
Ends = tuple[float, float]
ORIENTATION = 0x0112
PILLOW: Mapping[ImageFormat, tuple[str, ...]] = {
    "png": ("PNG",), "jpeg": ("JPEG",), "webp": ("WEBP",),
    "bmp": ("BMP",), "gif": ("GIF",), "tiff": ("TIFF",),
    "jp2": ("JPEG2000",), "avif": ("AVIF",), "heic": ("HEIF",), "pnm": ("PPM",),
}  # fmt: skip
DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, KeyError, TypeError,
    ZeroDivisionError, OverflowError, RuntimeError, Image.DecompressionBombError, AttributeError,
)  # fmt: skip
"""What Pillow's and pydicom's readers raise on damaged files, as its own fuzzers have found."""
LARGE = 16_000_000
"""Pixels. Decoding holds up to 7 bytes for each (4 in Pillow's image, 3 in ours): more than 112 MB
is no thread's to take as it likes, and a picture that takes seconds is no neighbour's to wait for.
"""
LARGE_JPEG = 4 * LARGE
"""A camera's 24 or 61 megapixels are decoded at half their size or less, so they stay cheap."""
STRIP = 2**18
"""Pixels that are converted at once: a few megabytes, and one strip for most pictures."""
_ALONE = threading.Lock()
"""Held while a large picture is decoded."""


def is_large(header: ImageHeader) -> bool:
    """Whether `decode` takes so much that a process does one such picture at a time."""
    most = LARGE_JPEG if header.format == "jpeg" else LARGE
    return header.width * header.height > most


def turn(header: ImageHeader) -> AbstractContextManager[object]:
    """While it lasts, no other large picture is decoded, if this one is large."""
    return _ALONE if is_large(header) else nullcontext()


def decode(
    data: bytes, header: ImageHeader, *, at_least: int | None, ends: Ends | None = None
) -> Pixels:
    """[h, w, 3]; a JPEG at least twice as large as `at_least` is decoded at half its size or less.

    `ends` are what is black and white where samples have more than eight bits. Every pixel is
    read, so a file that is cut short is found. Waits where another large picture is decoded.
    Raises image_truncated, image_invalid, image_too_large or image_dimensions.
    """
    with turn(header):
        try:
            return _decoded(data, header, at_least, ends)
        except DAMAGE as error:
            raise _damaged(error, data, header) from error


def deep_samples(data: bytes, header: ImageHeader) -> Deep | None:
    """The samples of a picture that has more than eight bits for each, or is DICOM, as stored.

    Raises as `decode`.
    """
    with turn(header):
        try:
            return deep.read(data, header)
        except DAMAGE as error:
            raise _damaged(error, data, header) from error


def _decoded(data: bytes, header: ImageHeader, at_least: int | None, ends: Ends | None) -> Pixels:
    samples = deep.read(data, header)
    if samples is not None and header.format not in ("png", "tiff"):
        return _of_deep(samples, ends, 1)
    if header.format == "heic":
        _open_heif()
    try:
        with closing(Image.open(BytesIO(data), formats=PILLOW[header.format])) as image:
            _check_size(image, header)
            if samples is not None:
                return _of_deep(samples, ends, _orientation(image))
            pixels = _pixels(image, data, at_least)
            return _oriented(pixels, _orientation(image))  # Pillow turns a TIFF while it loads it
    except UnidentifiedImageError:  # Pillow may know less of a TIFF than tifffile does
        if samples is None:
            raise
        return _of_deep(samples, ends, 1)
    except ValueError as error:
        if header.format != "png" or not _is_about_notes(error):
            raise
        return _decoded(png_without_notes(data), header, at_least, ends)


def _open_heif() -> None:
    """Let Pillow read HEIC. Raises unsupported_image_format where what it needs is missing."""
    try:
        import pillow_heif
    except ImportError as error:
        why = "reading HEIC needs pillow-heif: pip install 'headstart[formats]'"
        raise HeadstartError("unsupported_image_format", why) from error
    if "HEIF" not in Image.OPEN:
        pillow_heif.register_heif_opener(thumbnails=False)


def _is_about_notes(error: ValueError) -> bool:
    """Whether Pillow gave up on a profile or a text, which are none of a picture's pixels."""
    return "too large" in str(error).lower() or "text memory" in str(error).lower()


def _of_deep(samples: Deep, ends: Ends | None, orientation: int) -> Pixels:
    """[h, w, 3] of eight bits, upright."""
    colours = deep.to_bytes(samples.values, samples.ends or ends)
    colours = np.broadcast_to(colours, (*colours.shape[:2], 3))
    if samples.alpha is not None:
        colours = transparency.laid(np.dstack([colours, samples.alpha]))
    turned = samples.orientation if samples.orientation is not None else orientation
    return np.ascontiguousarray(_oriented(colours, turned))


def _check_size(image: Image.Image, header: ImageHeader) -> None:
    """A frame may outgrow the size in the header, but not past those who wait for their turn."""
    check_size(*image.size)
    actual = replace(header, width=image.width, height=image.height)
    if is_large(actual) and not is_large(header):
        raise HeadstartError("image_invalid", "the image is far larger than its header says")


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
    """In strips of rows: whole, a picture would be held up to ten times over on its way."""
    strip_to_rgb = _converter(image)
    pixels: Pixels = np.empty((image.height, image.width, 3), np.uint8)
    for rows, strip in _strips(image):
        pixels[rows] = strip_to_rgb(strip)
    return pixels


def _strips(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """The picture's rows and a copy of them, a few at a time; a small picture as it is."""
    width, height = image.size
    step = max(1, STRIP // width)
    if step >= height:
        yield slice(height), image
        return
    for top in range(0, height, step):
        bottom = min(top + step, height)
        yield slice(top, bottom), image.crop((0, top, width, bottom))


def _converter(image: Image.Image) -> Callable[[Image.Image], Pixels]:
    """From a strip of `image` to what its rows of [h, w, 3] become."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        raise ValueError("its samples have more than eight bits, and could not be read whole")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        ground = transparency.ground(_rgba(strip) for _, strip in _strips(image))
        return lambda strip: transparency.on(ground, _rgba(strip))
    return lambda strip: np.asarray(strip.convert("RGB"))


def _rgba(image: Image.Image) -> Pixels:
    if image.mode in ("La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    return np.asarray(image.convert("RGBA"))


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


def _damaged(error: BaseException, data: bytes, header: ImageHeader) -> HeadstartError:
    says = str(error)
    if isinstance(error, EOFError | struct.error) or "truncated" in says.lower():
        return HeadstartError("image_truncated", "the image ends before its last pixel")
    if isinstance(error, UnidentifiedImageError) or " at 0x" in says:
        return HeadstartError("image_invalid", _unread(data, header))
    held = f" ({deep.facts(data)}; {deep.READ})" if header.format == "tiff" else ""
    return HeadstartError("image_invalid", f"the image cannot be decoded: {says[:200]}{held}")


def _unread(data: bytes, header: ImageHeader) -> str:
    """What the file holds, where that is why it is not read."""
    if header.format == "tiff":
        return f"{deep.facts(data)}; {deep.READ}"
    if header.format == "jpeg" and (bits := jpeg_bits(data)) != 8:
        return f"a JPEG of {bits} bits a sample; 8 are read"
    return f"the image cannot be decoded: its content is no sound {header.format.upper()}"
