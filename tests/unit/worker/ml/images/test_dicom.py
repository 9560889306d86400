"""DICOM as it is meant: what its numbers stand for, its window, its white, its first frame."""

from __future__ import annotations

import io
import struct
from contextlib import suppress

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core import image_header
from app.core.errors import HeadstartError
from app.core.image_formats.dicom import dicom_header, picture_alone
from tests.unit.dicoms import (
    BIG,
    CANARY,
    IMPLICIT,
    JPEG,
    JPEG_2000,
    JPEG_LS,
    LOSSLESS,
    RLE,
    dicom,
    grey,
)
from worker.ml.images.pixel_scale import inspect
from worker.ml.images.views import decode, decode_to

SLOPE = np.rint(grey() / 4095 * 255)
"""What twelve bits are in eight."""


def near(data: bytes, expected: np.ndarray, *, by: float = 1.0) -> None:
    pixels = decode(data)
    assert pixels.shape == (64, 64, 3)
    assert np.abs(pixels[..., 0].astype(float) - expected).max() <= by


@pytest.mark.parametrize(
    "syntax", [None, IMPLICIT, BIG, RLE, LOSSLESS, JPEG_LS, JPEG_2000], ids=str
)
def test_twelve_bits_of_sixteen_however_they_are_packed(syntax: str | None) -> None:
    told = {} if syntax is None else {"syntax": syntax}
    near(dicom(grey(), BitsStored=12, **told), SLOPE)


def test_the_white_of_monochrome1_is_zero() -> None:
    plain = decode(dicom(grey(), BitsStored=12))
    turned = dicom(4095 - grey(), BitsStored=12, PhotometricInterpretation="MONOCHROME1")
    assert np.abs(decode(turned).astype(int) - plain).max() <= 1


def test_a_window_in_hounsfield_units_says_what_is_black_and_white() -> None:
    stored = grey(top=2000)
    window = {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 400}
    expected = np.clip((stored - 1024.0 + 160) / 399 * 255, 0, 255)
    near(dicom(stored, BitsStored=12, **window), expected)
    inverse = dicom(stored, BitsStored=12, PhotometricInterpretation="MONOCHROME1", **window)
    near(inverse, 255 - expected)


def test_signed_numbers_and_several_windows() -> None:
    stored = (grey(top=2000, dtype="i2") - 1000).astype("i2")
    expected = np.clip((stored + 160.0) / 399 * 255, 0, 255)
    near(dicom(stored, WindowCenter=[40, 600], WindowWidth=[400, 2000]), expected)


def test_the_first_of_several_frames_is_used() -> None:
    frames = np.stack([grey(), np.zeros((64, 64), "u2")])
    for syntax in (IMPLICIT, RLE, JPEG_LS):
        data = dicom(frames, syntax=syntax, BitsStored=12)
        assert image_header.inspect(data).frames == 2
        near(data, SLOPE)
        assert image_header.inspect(picture_alone(data)).frames == 1


def test_colours_are_colours() -> None:
    colours = np.dstack(
        [grey(top=255, dtype="u1"), np.full((64, 64), 9, "u1"), grey(top=80, dtype="u1")]
    )
    for syntax, by in ((IMPLICIT, 0), (RLE, 0), (JPEG_2000, 0), (JPEG, 12)):
        pixels = decode(dicom(colours, syntax=syntax))
        assert np.abs(pixels.astype(int) - colours).max() <= by


def test_without_a_window_one_value_is_one_grey_in_all_pictures() -> None:
    dim, bright = dicom(grey(top=800), BitsStored=12), dicom(grey(top=4000), BitsStored=12)
    scale = inspect([dim, bright], [True, True], threads=1).scale
    means = [decode_to(one, "squish", 64, scale=scale).mean() for one in (dim, bright)]
    assert means[0] == pytest.approx(means[1] / 5, rel=0.1)


def test_a_window_is_no_samples_for_the_datasets_scale() -> None:
    window = dicom(grey(top=60_000), WindowCenter=100, WindowWidth=50)
    assert inspect([window], [True], threads=1).scale is None


def test_what_lies_outside_the_scanners_circle_is_dark_not_darkest() -> None:
    stored = (grey(top=200, dtype="i2") + 1000).astype("i2")
    stored[:10] = -3000
    pixels = decode(dicom(stored, PixelPaddingValue=-3000, RescaleIntercept=-1100))
    assert pixels[0].max() < 20
    assert pixels.max() > 200


@pytest.mark.parametrize("syntax", [IMPLICIT, RLE, JPEG_LS])
def test_nothing_of_the_patient_is_left(syntax: str) -> None:
    data = dicom(grey(), syntax=syntax, BitsStored=12, WindowCenter=2000, WindowWidth=4000)
    assert data.count(CANARY.encode()) > 5
    assert dicom_header(data).patient == f"{CANARY}-17"
    alone = picture_alone(data)
    assert CANARY.encode() not in alone
    assert b"1970" not in alone
    assert dicom_header(alone).patient is None
    assert picture_alone(alone) == alone
    assert (decode(alone) == decode(data)).all()
    assert "PatientID" not in pydicom.dcmread(io.BytesIO(alone))


def test_parts_without_end_and_repeated_ones_are_bounded() -> None:
    data = dicom(grey(), WindowCenter=2000, WindowWidth=4000)
    at = data.index(struct.pack("<HH", 0x7FE0, 0x10))
    window = struct.pack("<HH2sH", 0x28, 0x1050, b"DS", 2) + b"40"
    often = data[:at] + window * 90_000 + data[at:]
    assert len(picture_alone(often)) == len(picture_alone(data))
    with pytest.raises(HeadstartError, match="too many parts"):
        picture_alone(data[:at] + window * 110_000 + data[at:])
    open_sequence = struct.pack("<HH2sHI", 0x5200, 0x9229, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    with pytest.raises(HeadstartError, match="too deep"):
        picture_alone(data[:at] + (open_sequence + item) * 20 + data[at:])


def test_a_report_is_no_picture() -> None:
    report = pydicom.dcmread(io.BytesIO(dicom(grey())))
    del report.PixelData
    out = io.BytesIO()
    report.save_as(out)
    with pytest.raises(HeadstartError, match="without a picture") as caught:
        image_header.inspect(out.getvalue())
    assert caught.value.code == "unsupported_image_format"


GOOD = [dicom(grey(side=16), syntax=one, BitsStored=12) for one in (IMPLICIT, BIG, RLE, JPEG_LS)]


@settings(deadline=None)
@given(st.sampled_from(GOOD), st.data())
def test_any_damage_is_answered_with_a_code(good: bytes, data: st.DataObject) -> None:
    damaged = bytearray(good[: data.draw(st.integers(132, len(good)))])
    for _ in range(data.draw(st.integers(0, 6))):
        damaged[data.draw(st.integers(132, len(damaged) - 1)) if len(damaged) > 132 else 0] = (
            data.draw(st.integers(0, 255))
        )
    with suppress(HeadstartError):
        assert decode(bytes(damaged)).shape[2] == 3
