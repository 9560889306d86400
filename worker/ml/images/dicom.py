"""DICOM → samples, by pydicom, and by imagecodecs where they are compressed.

Only the picture's own elements reach either: `picture_alone` leaves out what else a file holds.
A rescale makes the numbers what they stand for (PS3.3 C.11.1), a window says which of them are
black and white (C.11.2); where there is none, the dataset's scale does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.errors import HeadstartError
from app.core.image_formats.dicom import picture_alone

Numbers = NDArray[Any]
Ends = tuple[float, float]
_BITS_READ = 32


@dataclass(frozen=True, slots=True)
class DicomPicture:
    """Samples [h, w, 1 or 3], black below white where `ends` are None; else as `ends` say."""

    values: Numbers
    ends: Ends | None


def read(data: bytes) -> DicomPicture:
    """The first frame. Raises image_invalid, image_truncated or unsupported_image_format."""
    try:
        import pydicom
    except ImportError as error:
        why = "reading DICOM needs pydicom: pip install 'headstart[formats]'"
        raise HeadstartError("unsupported_image_format", why) from error
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    dataset = pydicom.dcmread(BytesIO(picture_alone(data)))
    _level(dataset)
    from worker.ml.images import dicom_codecs

    stored = dicom_codecs.stored(dataset)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return _palette(stored, dataset)
    if stored.ndim == 3 and stored.shape[2] == 3:
        return DicomPicture(stored, (0.0, 2.0 ** int(dataset.BitsStored) - 1))
    return _grey(stored.reshape(stored.shape[:2]), dataset)


def _level(dataset: Any) -> None:
    """Put an enhanced object's rescale and window where those of other objects are."""
    for group in _groups(dataset):
        for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            for item in getattr(group, name, None) or []:
                for element in item:
                    if element.keyword not in dataset:
                        dataset.add(element)


def _groups(dataset: Any) -> Iterator[Any]:
    for name in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        yield from getattr(dataset, name, None) or []


def _palette(stored: Numbers, dataset: Any) -> DicomPicture:
    from pydicom.pixels.processing import apply_color_lut

    colours = apply_color_lut(stored.reshape(stored.shape[:2]), dataset)[..., :3]
    return DicomPicture(colours, (0.0, float(np.iinfo(colours.dtype).max)))


def _grey(stored: Numbers, dataset: Any) -> DicomPicture:
    inverse = dataset.PhotometricInterpretation == "MONOCHROME1"
    stored = _without_padding(stored, dataset)
    values = _rescaled(stored, dataset)
    windowed = _windowed(values, dataset)
    if windowed is not None:
        seen, (low, high) = windowed
        return DicomPicture(seen[..., None], (high, low) if inverse else (low, high))
    if inverse:
        values = _rescaled(_turned(stored, dataset), dataset)
    return DicomPicture(values[..., None], _plain_ends(values, dataset))


def _plain_ends(values: Numbers, dataset: Any) -> Ends | None:
    """Eight bits or fewer that no rescale moves are black and white as in any other picture."""
    bits = int(dataset.BitsStored)
    plain = (
        bits <= 8 and values.dtype.kind == "u" and not int(dataset.get("PixelRepresentation", 0))
    )
    return (0.0, 2.0**bits - 1) if plain else None


def _without_padding(stored: Numbers, dataset: Any) -> Numbers:
    """What lies outside a scanner's circle becomes as dark as the darkest inside."""
    padding = dataset.get("PixelPaddingValue")
    if padding is None or stored.dtype.kind == "f":
        return stored
    limit = dataset.get("PixelPaddingRangeLimit", padding)
    low, high = sorted((int(padding), int(limit)))
    outside = (stored >= low) & (stored <= high)
    if not outside.any() or outside.all():
        return stored
    inverse = dataset.PhotometricInterpretation == "MONOCHROME1"
    inside = stored[~outside]
    return np.where(outside, inside.max() if inverse else inside.min(), stored)


def _turned(stored: Numbers, dataset: Any) -> Numbers:
    """Black for white, within the range that the stored bits have; of floats within their own."""
    if stored.dtype.kind == "f":
        return np.asarray(stored.max() + stored.min() - stored)
    top = 2 ** int(dataset.BitsStored) - 1
    signed = int(dataset.get("PixelRepresentation", 0)) == 1
    whole = (-1 if signed else top) - stored.astype(np.int64)
    return whole if signed else whole.astype(stored.dtype)


def _rescaled(stored: Numbers, dataset: Any) -> Numbers:
    """What the stored numbers stand for, in whole numbers where they are."""
    from pydicom.pixels.processing import apply_modality_lut

    if dataset.get("ModalityLUTSequence"):
        return np.asarray(apply_modality_lut(stored, dataset))
    slope, intercept = (
        float(dataset.get("RescaleSlope") or 1),
        float(dataset.get("RescaleIntercept") or 0),
    )
    if (slope, intercept) == (1, 0):
        return stored
    if slope == 1 and intercept.is_integer() and stored.dtype.kind != "f":
        return stored.astype(np.int32) + np.int32(intercept)
    return stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def _windowed(values: Numbers, dataset: Any) -> tuple[Numbers, Ends] | None:
    """The values that a window is of, and its ends; None where there is none that shows any."""
    if dataset.get("VOILUTSequence"):
        from pydicom.pixels.processing import apply_voi

        seen = apply_voi(np.rint(values).astype(np.int32), dataset)
        return seen, (0.0, 2.0 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1)
    center, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    if center is None or width is None or width <= 0:
        return None
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    if function == "SIGMOID":
        curve = 1 / (1 + np.exp(-4 * (values.astype(np.float32) - center) / width))
        return curve, (0.0, 1.0)
    if function == "LINEAR":
        center, width = center - 0.5, max(width - 1, 1.0)
    low, high = center - width / 2, center + width / 2
    return None if values.max() <= low or values.min() >= high else (values, (low, high))


def _first(told: Any) -> float | None:
    """The first of one or several numbers."""
    if told is None or told == "":
        return None
    one = told if isinstance(told, str | int | float) else next(iter(told), None)
    return None if one is None else float(one)
