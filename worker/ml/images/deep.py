"""Pictures of more than eight bits a sample, read by libpng and tifffile; then in eight bits.

Pillow drops the low byte of deep colours, does not invert deep greys whose white is zero, and reads
deep planes as noise; so what is deep is not for it to read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from app.core.errors import HeadstartError
from app.core.image_formats.jpeg2000 import jpeg2000_header
from app.core.image_formats.pnm import pnm_header
from app.core.image_header import ImageFormat, ImageHeader
from worker.ml.images import dicom

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it has to say, we answer

Numbers = NDArray[Any]
Pixels = NDArray[np.uint8]
MOST_BYTES = 512 * 2**20
"""Of a picture's samples as they are stored."""
STRIP = 2**18
"""Samples that are converted at once."""
BITS = (8, 10, 12, 14, 16)
"""What scanners and sensors give: a picture that uses 12 of its 16 bits is a 12-bit picture."""
_PNG_DEPTH, _PNG_COLOUR = 24, 25
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_UNASSOCIATED_ALPHA = 2
_KINDS = {1: "unsigned", 2: "signed", 3: "float"}


@dataclass(frozen=True, slots=True)
class Deep:
    """Samples [h, w, 1 or 3] as stored, black below white; `alpha` [h, w] of eight bits, if any.

    `orientation` is how a TIFF is to be turned, as EXIF numbers it; a PNG's is in its EXIF.
    `ends` are the picture's own black and white, which no scale of a dataset changes.
    """

    values: Numbers
    alpha: Pixels | None = None
    orientation: int | None = None
    ends: tuple[float, float] | None = None


def read(data: bytes, header: ImageHeader) -> Deep | None:
    """The samples of a DICOM or of what has more than eight bits; None for what Pillow is to read.

    Raises image_invalid, which says what the file holds, image_too_large and, where what reads it
    is not installed, unsupported_image_format.
    """
    reader = _READERS.get(header.format)
    if reader is not None:
        return reader(data, header)
    if header.format == "png" and data[_PNG_DEPTH] == 16 and data[_PNG_COLOUR] in (0, 2, 4, 6):
        return _png(data, header)
    return _tiff(data) if header.format == "tiff" else None


def to_bytes(values: Numbers, ends: tuple[float, float] | None = None) -> Pixels:
    """[h, w, c] → 0..255, black and white at `ends`; without any as the picture alone tells.

    That is by the bits in use, floats in 0..1 as they are, the rest by its range.
    """
    low, high = ends or span(values.dtype, *extent(values))
    pixels = np.empty(values.shape, np.uint8)
    for rows in _strips(values):
        wide = finite(values[rows]).astype(np.float64)
        pixels[rows] = np.rint(np.clip((wide - low) * (255 / ((high - low) or 1)), 0, 255))
    return pixels


def extent(values: Numbers) -> tuple[float, float]:
    """The least and the greatest value of [h, w, c]."""
    ends = [(float(part.min()), float(part.max())) for part in _finite_strips(values)]
    return min(low for low, _ in ends), max(high for _, high in ends)


def span(kind: np.dtype[Any], low: float, high: float) -> tuple[float, float]:
    """What is to be black and white where values of `kind` lie between `low` and `high`."""
    if kind.kind == "f":
        return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
    if low >= 0 and high < 2 ** BITS[-1]:
        return 0.0, float(2 ** next(bits for bits in BITS if high < 2**bits) - 1)
    return low, high


def finite(values: Numbers) -> Numbers:
    """What a float picture has of infinities and of no number at all counts as 0."""
    if values.dtype.kind != "f":
        return values
    return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def facts(data: bytes) -> str:
    """What a TIFF holds, for people."""
    try:
        with tifffile.TiffFile(BytesIO(data)) as file:
            return _facts(file.pages[0])
    except DAMAGE:
        return "a TIFF that cannot be understood"


def _png(data: bytes, header: ImageHeader) -> Deep:
    _check_bytes(header.width * header.height * 8)
    import imagecodecs

    values = np.atleast_3d(imagecodecs.png_decode(data))
    if values.dtype != np.uint16:
        raise HeadstartError("image_invalid", "a PNG that does not hold what its header says")
    if values.shape[2] in (1, 3):
        return Deep(values)
    return Deep(values[..., :-1], (values[..., -1] >> 8).astype(np.uint8))


def _dicom(data: bytes, header: ImageHeader) -> Deep:
    _check_bytes(header.width * header.height * 8)
    picture = dicom.read(data)
    return Deep(picture.values, ends=picture.ends, orientation=1)


def _jpeg_2000(data: bytes, header: ImageHeader) -> Deep | None:
    bits, components = (head := jpeg2000_header(data)).bits, head.components
    if bits <= 8:
        return None
    _check_bytes(header.width * header.height * components * 4)
    import imagecodecs

    values = np.atleast_3d(imagecodecs.jpeg2k_decode(data))
    if values.shape[2] in (1, 3):
        return Deep(values, orientation=1)
    alpha = (values[..., -1] >> max(0, bits - 8)).astype(np.uint8)
    return Deep(values[..., :-1], alpha, orientation=1)


def _pnm(data: bytes, header: ImageHeader) -> Deep | None:
    head = pnm_header(data)
    if head.most <= 255:
        return None
    count = header.width * header.height * head.channels
    _check_bytes(count * 2)
    if head.kind >= 4:
        flat = np.frombuffer(data, ">u2", count, head.start).astype(np.uint16)
    else:
        flat = _plain(data[head.start :], count, head.most)
    return Deep(flat.reshape(header.height, header.width, head.channels), orientation=1)


def _plain(text: bytes, count: int, most: int) -> Numbers:
    """Samples that are written as decimal numbers."""
    flat = np.fromstring(text.decode("ascii"), np.uint32, sep=" ")
    if len(flat) < count or int(flat[:count].max()) > most:
        raise HeadstartError("image_invalid", "a plain PNM with too few or too large samples")
    return flat[:count].astype(np.uint16)


_READERS: Mapping[ImageFormat, Callable[[bytes, ImageHeader], Deep | None]] = {
    "dicom": _dicom,
    "jp2": _jpeg_2000,
    "pnm": _pnm,
}


def _tiff(data: bytes) -> Deep | None:
    try:
        file = tifffile.TiffFile(BytesIO(data))
    except DAMAGE:
        return None  # Pillow says what is wrong with it, or reads it all the same
    with file:
        page: Any = file.pages[0]
        if _is_pillows(page):
            return None
        if page.imagedepth != 1 or not _is_read(page):
            raise HeadstartError("image_invalid", _facts(page) + f"; {READ}")
        _check_bytes(page.imagewidth * page.imagelength * page.samplesperpixel * _width(page))
        values = np.atleast_3d(_by_pixel(page))
        if page.photometric == _WHITE_IS_ZERO:
            values = _inverted(values, bits=_bits(page))
        return replace(_parted(values, page), orientation=_orientation(page))


def _orientation(page: Any) -> int:
    tag = page.tags.get("Orientation")
    return int(tag.value) if tag is not None else 1


READ = (
    "read are grey, RGB and RGBA of up to 64 bits, without compression or compressed as LZW, "
    "deflate, PackBits or JPEG"
)


def _is_pillows(page: Any) -> bool:
    """Eight bits or fewer, unsigned."""
    return _bits(page) <= 8 and page.sampleformat == 1


def _is_read(page: Any) -> bool:
    if page.sampleformat not in _KINDS:
        return False
    if page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO):
        return bool(page.samplesperpixel == 1 or (page.samplesperpixel == 2 and page.extrasamples))
    return bool(page.photometric == _RGB and page.samplesperpixel in (3, 4))


def _by_pixel(page: Any) -> Numbers:
    """[h, w] or [h, w, s], also of a file that stores a plane after the other."""
    values: Numbers = page.asarray()
    if values.ndim == 3 and page.planarconfig == 2:
        return np.ascontiguousarray(np.moveaxis(values, 0, -1))
    return values


def _parted(values: Numbers, page: Any) -> Deep:
    """Colours, and an alpha where the file says that its last samples are one."""
    colours = 1 if page.photometric != _RGB else 3
    if values.shape[2] == colours:
        return Deep(values)
    alpha = None
    if page.extrasamples and page.extrasamples[0] == _UNASSOCIATED_ALPHA:
        full = values[..., colours : colours + 1]
        top = 1.0 if full.dtype.kind == "f" else float(2 ** _bits(page) - 1)
        alpha = np.rint(np.clip(finite(full)[..., 0] / top, 0, 1) * 255).astype(np.uint8)
    return Deep(values[..., :colours], alpha)


def _inverted(values: Numbers, *, bits: int) -> Numbers:
    if values.dtype.kind == "u":
        whole: Numbers = (2**bits - 1 - values.astype(np.uint64)).astype(values.dtype)
        return whole
    low, high = (float(end) for end in (finite(values).min(), finite(values).max()))
    wide: Numbers = low + high - finite(values).astype(np.float64)
    return wide


def _bits(page: Any) -> int:
    """The most that a sample has: TIFF gives one number, or one a sample."""
    return int(np.max(page.bitspersample))


def _width(page: Any) -> int:
    return max(1, (_bits(page) + 7) // 8)


def _facts(page: Any) -> str:
    samples, kind = page.samplesperpixel, _KINDS.get(page.sampleformat, "unusual")
    name = getattr(page.photometric, "name", str(page.photometric))
    several = "s" if samples > 1 else ""
    said = f"a TIFF of {samples} sample{several} of {_bits(page)}-bit {kind}, {name}"
    packed = getattr(page.compression, "name", str(page.compression))
    return said if packed == "NONE" else f"{said}, compressed as {packed}"


def _check_bytes(size: int) -> None:
    if size > MOST_BYTES:
        raise HeadstartError(
            "image_too_large",
            f"{size >> 20} MiB of samples; the limit is {MOST_BYTES >> 20} MiB",
        )


def _strips(values: Numbers) -> Iterator[slice]:
    step = max(1, STRIP // max(1, values.shape[1] * values.shape[2]))
    for top in range(0, len(values), step):
        yield slice(top, top + step)


def _finite_strips(values: Numbers) -> Iterator[Numbers]:
    return (finite(values[rows]) for rows in _strips(values))


DAMAGE = (
    tifffile.TiffFileError, OSError, ValueError, TypeError, KeyError,
    IndexError, AttributeError, RuntimeError, OverflowError, ZeroDivisionError, MemoryError,
)  # fmt: skip
"""What both readers raise on damaged files."""
