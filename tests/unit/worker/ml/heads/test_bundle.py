"""What a bundle makes of a picture's bytes is what the service makes of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from app.core import image_header
from app.core.errors import HeadstartError
from tests.unit.dicoms import dicom, grey
from tests.unit.worker.ml.drawn_images import difference, encoded, picture
from tests.unit.worker.ml.images.test_deep import png, tiff
from worker.ml.heads.bundle import run
from worker.ml.images import decoding
from worker.ml.images.views import VIEWS, decode, render, view_size

pytestmark = pytest.mark.slow

PICTURE = picture()
GREY = PICTURE.mean(2)
DEEP = PICTURE.astype(np.uint16) * 16
CLEAR = np.dstack([PICTURE, np.zeros(PICTURE.shape[:2], np.uint8)])
HALF = np.dstack([PICTURE, np.full(PICTURE.shape[:2], 128, np.uint8)])
WHITE = np.zeros((32, 32, 4), np.uint8)
WHITE[8:24, 8:24] = 255


def turned(values: np.ndarray) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG", exif=exif)
    return out.getvalue()


def heic() -> bytes:
    pillow_heif.register_heif_opener()
    return encoded(PICTURE, "HEIF")


HOUNSFIELD = {
    "RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 400,
}  # fmt: skip
FILES = {
    "jpeg": encoded(PICTURE, "JPEG"),
    "clear": encoded(CLEAR, "PNG"),
    "half": encoded(HALF, "PNG"),
    "white ink": encoded(WHITE, "PNG"),
    "turned": turned(PICTURE),
    "deep colours": png(DEEP, 2),
    "deep alpha": png(np.dstack([DEEP, np.full(GREY.shape, 40_000, np.uint16)]), 6),
    "deep grey": png((GREY * 16).astype(np.uint16), 0),
    "planes": tiff(np.moveaxis(DEEP, -1, 0), photometric="rgb", planarconfig="separate"),
    "white is zero": tiff(65535 - (GREY * 257).astype(np.uint16), photometric="miniswhite"),
    "turned tiff": tiff(PICTURE, photometric="rgb", extratags=[(274, "H", 1, 6, True)]),
    "turned planes": tiff(DEEP, photometric="rgb", extratags=[(274, "H", 1, 8, True)]),
    "float colours": tiff((PICTURE / 255).astype(np.float32), photometric="rgb"),
    "float grey": tiff((GREY * 3).astype(np.float32), photometric="minisblack"),
    "eight-bit tiff": tiff(PICTURE, photometric="rgb"),
    "jpeg 2000": imagecodecs.jpeg2k_encode(PICTURE, level=0),
    "deep jpeg 2000": imagecodecs.jpeg2k_encode((GREY * 16).astype(np.uint16), level=0),
    "deep pgm": b"P5 %d %d 4095\n" % GREY.shape[::-1] + (GREY * 16).astype(">u2").tobytes(),
    "heic": heic(),
    "dicom": dicom(grey(), BitsStored=12),
    "dicom window": dicom(grey(), BitsStored=12, **HOUNSFIELD),
    "dicom white is zero": dicom(grey(), PhotometricInterpretation="MONOCHROME1", **HOUNSFIELD),
    "dicom turned": dicom(grey(), BitsStored=12, PhotometricInterpretation="MONOCHROME1"),
    "dicom signed": dicom(grey(dtype="i2") - np.int16(900), PixelPaddingValue=-900),
    "dicom eight": dicom(grey(top=255, dtype="u1"), PhotometricInterpretation="MONOCHROME1"),
    "dicom colours": dicom(PICTURE),
}


@pytest.mark.parametrize("name", FILES)
def test_a_bundle_sees_the_services_pixels(name: str) -> None:
    theirs = np.asarray(run.decode(FILES[name], 10_000))
    assert difference(theirs, decode(FILES[name])) <= 1


@pytest.mark.parametrize(
    "name",
    [
        *("deep colours", "deep grey", "white is zero", "float grey", "deep jpeg 2000", "deep pgm"),
        *("dicom", "dicom window", "dicom turned", "dicom eight"),
    ],
)
def test_a_bundle_scales_as_the_service_does(name: str) -> None:
    header = image_header.inspect(FILES[name])
    ours = decoding.decode(FILES[name], header, at_least=None, ends=(100.0, 2000.0))
    theirs = run.decode(FILES[name], 10_000, {"low": 100.0, "high": 2000.0})
    assert difference(np.asarray(theirs), ours) <= 1


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    size=st.sampled_from([1, 7, 32, 224, 288]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=40)
def test_every_view_has_the_services_pixels(height: int, width: int, size: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    image = Image.fromarray(pixels)
    for view, theirs in zip(VIEWS, render(pixels, VIEWS, size), strict=True):
        side = view_size(view, size)
        assert np.array_equal(run.render(image, view, side), theirs), view


def test_a_large_picture_has_the_services_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), np.uint8)
    assert np.array_equal(
        run.render(Image.fromarray(pixels), "pad", 224), render(pixels, ["pad"], 224)[0]
    )


class Even(run.Classifier):
    """All labels alike for whatever can be decoded: a bundle without a network."""

    def __init__(self) -> None:
        self.labels = ["a", "b"]

    def __call__(self, pictures: Sequence[bytes]) -> Any:
        assert [run.decode(data, 10_000) for data in pictures]
        return np.full((len(pictures), 2), 0.5, np.float32)


@pytest.mark.parametrize(
    "data", [b"hello", b"", FILES["jpeg"][:200], FILES["deep colours"][:60], b"II*\0" + bytes(9)]
)
def test_what_is_no_picture_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes
) -> None:
    (tmp_path / "bad").write_bytes(data)
    assert run.said(Even(), str(tmp_path / "bad")) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"{tmp_path}/bad: it is ")


def test_labels_with_commas_can_be_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good").write_bytes(FILES["jpeg"])
    classify = Even()
    classify.labels, classify.thresholds = ['bar, 5" wide', "disc"], [0.4, 0.4]
    assert run.said(classify, str(tmp_path / "good")) == 0
    labels = capsys.readouterr().out.split("\t")[1]
    assert next(csv.reader([labels])) == classify.labels
    assert run.quoted("disc") == "disc"


@pytest.mark.parametrize("mode", ["RGB", "I;16"])
@pytest.mark.parametrize("size", [(4000, 6), (6, 4000), (30_100, 151)])
def test_a_size_that_the_service_refuses_is_refused(size: tuple[int, int], mode: str) -> None:
    with pytest.raises(HeadstartError):
        image_header.check_size(*size)
    with pytest.raises(ValueError, match="not judged"):
        run.decode(encoded(Image.new(mode, size), "PNG"), 224)


def test_sizes_end_where_the_services_do() -> None:
    ours = run.MAX_PIXELS, run.MAX_SIDE, run.MAX_ASPECT
    theirs = image_header.MAX_PIXELS, image_header.MAX_SIDE, image_header.MAX_ASPECT
    assert ours == theirs
    assert run.decode(encoded(Image.new("RGB", (1200, 6)), "PNG"), 224).size == (1200, 6)


def test_a_file_that_is_missing_does_not_end_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good").write_bytes(FILES["jpeg"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "Classifier", lambda _folder: Even())
    assert run.main(["absent", "good"]) == 1
    out, err = capsys.readouterr()
    assert out == "good\ta\t0.5000\n"
    assert err == "absent: No such file or directory\n"
    assert run.main(["good"]) == 0


def test_it_says_how_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert (run.main(["--help"]), run.main([])) == (0, 2)
    out, err = capsys.readouterr()
    assert out == err == "usage: python run.py picture.jpg …\n"
