"""The stored samples of a DICOM's frame, whatever it is compressed by (PS3.5, A.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from app.core.errors import HeadstartError
from app.core.image_formats import jpeg_size
from app.core.image_formats.jpeg2000 import jpeg2000_size

Numbers = NDArray[Any]
_OF_JPEG = "1.2.840.10008.1.2.4."
_RLE = "1.2.840.10008.1.2.5"
_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")


def stored(dataset: Any) -> Numbers:
    """Samples [h, w] or [h, w, 3] of the only frame, in RGB where there are three.

    Raises image_invalid, or unsupported_image_format for a codec that is not read.
    """
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax in (*_NATIVE, _RLE):
        from pydicom.pixels.utils import pixel_array

        return np.asarray(pixel_array(dataset, index=0))
    codec = _CODECS.get(syntax.removeprefix(_OF_JPEG))
    if codec is None:
        why = f"the content is a DICOM of the transfer syntax {syntax}, which is not read"
        raise HeadstartError("unsupported_image_format", why)
    from pydicom.encaps import get_frame

    packed = get_frame(dataset.PixelData, 0, number_of_frames=1)
    size = jpeg2000_size if packed.startswith(b"\xff\x4f") else jpeg_size
    if size(packed) != (dataset.Columns, dataset.Rows):
        raise HeadstartError("image_invalid", "a DICOM whose frame has not the size that it says")
    return _signed(np.asarray(codec(packed, dataset)), dataset)


def _jpeg(packed: bytes, dataset: Any) -> Numbers:
    """Of eight bits; what says nothing of its colours is taken to be what the file says."""
    told = b"JFIF" in packed[:32] or b"Adobe" in packed[:1024]
    if int(dataset.SamplesPerPixel) == 3 and not told:
        is_rgb = dataset.PhotometricInterpretation == "RGB"
        space = "RGB" if is_rgb else "YCBCR"
        return imagecodecs.jpeg8_decode(packed, colorspace=space, outcolorspace="RGB")
    return imagecodecs.jpeg8_decode(packed)


def _lossless(packed: bytes, _dataset: Any) -> Numbers:
    return imagecodecs.jpeg8_decode(packed)


def _jpeg_ls(packed: bytes, dataset: Any) -> Numbers:
    samples = imagecodecs.jpegls_decode(packed)
    if str(dataset.PhotometricInterpretation) != "YBR_FULL":
        return samples
    from pydicom.pixels.processing import convert_color_space

    return np.asarray(convert_color_space(samples, "YBR_FULL", "RGB"))


def _jpeg_2000(packed: bytes, _dataset: Any) -> Numbers:
    return imagecodecs.jpeg2k_decode(packed)


def _signed(samples: Numbers, dataset: Any) -> Numbers:
    """Two's complement of the bits that are stored, which most codecs know nothing of."""
    if int(dataset.get("PixelRepresentation", 0)) != 1 or samples.dtype.kind != "u":
        return samples
    sign = 1 << int(dataset.BitsStored) - 1
    return (samples.astype(np.int32) & (2 * sign - 1) ^ sign) - sign


_CODECS: Mapping[str, Callable[[bytes, Any], Numbers]] = {
    "50": _jpeg, "51": _jpeg, "57": _lossless, "70": _lossless, "80": _jpeg_ls, "81": _jpeg_ls,
    "90": _jpeg_2000, "91": _jpeg_2000, "201": _jpeg_2000, "202": _jpeg_2000, "203": _jpeg_2000,
}  # fmt: skip
