"""Conversion in strips: the same pixels as of the whole, little memory, large ones alone."""

from __future__ import annotations

import io
import struct
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.core import image_header
from app.core.errors import HeadstartError
from tests.unit.worker.ml.drawn_images import encoded, picture
from worker.ml.images import decoding, transparency
from worker.ml.images.views import decode

PICTURE = picture()
RGB = Image.fromarray(PICTURE)


def whole(image: Image.Image) -> NDArray[np.uint8]:
    """What is made of a picture, all at once."""
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode)
        rgba = (image.convert(straight) if straight else image).convert("RGBA")
        return transparency.laid(np.array(rgba))
    return np.array(image.convert("RGB"))


def transparent(image: Image.Image, transparency: Any) -> Image.Image:
    """As its PNG gives it back."""
    again = Image.open(io.BytesIO(encoded(image, "PNG", transparency=transparency)))
    again.load()
    assert "transparency" in again.info
    return again


RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(0, 256, (80, 120, 4), np.uint8)
COLOURS = Image.fromarray(NOISE[..., :3])
PICTURES: dict[str, Image.Image] = {
    **{mode: COLOURS.convert(mode) for mode in ("1", "L", "RGB", "RGBX", "CMYK", "YCbCr", "HSV")},
    "LAB": Image.frombytes("LAB", (120, 80), NOISE[..., :3].tobytes()),
    "P": COLOURS.quantize(200),
    "P with a transparent entry": transparent(COLOURS.quantize(200), 7),
    "P with alphas": transparent(COLOURS.quantize(200), bytes(range(200))),
    "L with a transparent grey": transparent(COLOURS.convert("L"), 77),
    "1 with a transparent grey": transparent(COLOURS.convert("1"), 0),
    "RGB with a transparent colour": transparent(RGB, (255, 255, 0)),
    "RGBA": Image.fromarray(NOISE),
    "RGBa": Image.fromarray(NOISE).convert("RGBa"),
    "LA": Image.fromarray(NOISE).convert("LA"),
    "La": Image.fromarray(NOISE).convert("LA").convert("La"),
    "PA": Image.fromarray(NOISE).convert("PA"),
}


@pytest.mark.parametrize("strip", [1, 1000, 120 * 80])
@pytest.mark.parametrize("name", PICTURES)
def test_strips_are_the_pixels_of_the_whole(
    name: str, strip: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "STRIP", strip)
    pixels = decoding._rgb(PICTURES[name].copy())
    assert pixels.flags.writeable
    assert np.array_equal(pixels, whole(PICTURES[name].copy()))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_little_is_held_beside_a_picture_and_its_pixels(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "STRIP", 10_000)
    image = Image.new(mode, (1000, 1000))
    tracemalloc.start()
    try:
        decoding._rgb(image)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 1.5 * 3_000_000


@pytest.mark.parametrize(("most", "alone"), [(9_599, True), (9_600, False)])
def test_large_pictures_are_decoded_one_at_a_time(
    most: int, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, load = threading.Barrier(2), decoding._pixels

    def meet(*given: Any) -> NDArray[np.uint8]:
        with suppress(threading.BrokenBarrierError):
            together.wait(0.5 if alone else 10)
        return load(*given)

    monkeypatch.setattr(decoding, "LARGE", most)
    monkeypatch.setattr(decoding, "_pixels", meet)
    data = encoded(RGB, "PNG")
    with ThreadPoolExecutor(2) as pool:
        for pixels in pool.map(decode, [data, data]):
            assert np.array_equal(pixels, PICTURE)
    assert together.broken is alone


def test_a_picture_that_hides_its_size_does_not_pass_for_a_small_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoding, "LARGE", 9_599)
    data = bytearray(encoded(RGB, "GIF"))
    data[6:10] = struct.pack("<HH", 8, 8)  # the frame still has 120 x 80
    with pytest.raises(HeadstartError) as caught:
        decode(bytes(data))
    assert caught.value.code == "image_invalid"


def test_a_cameras_picture_is_not_large() -> None:
    header = image_header.ImageHeader
    assert not decoding.is_large(header("jpeg", 9504, 6336))
    assert not decoding.is_large(header("png", 4000, 4000))
    assert decoding.is_large(header("png", 4000, 4001))
    assert decoding.is_large(header("jpeg", 9400, 9400))
