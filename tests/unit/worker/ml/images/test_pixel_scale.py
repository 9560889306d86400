"""One scale for a dataset's deep pictures: bright stays bright, a hot pixel darkens nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.worker.ml.drawn_images import encoded, picture
from tests.unit.worker.ml.images.test_deep import png, tiff
from worker.ml.images.pixel_scale import PixelScale, inspect, of_samples
from worker.ml.images.views import decode_to

RANDOM = np.random.default_rng(0)
PICTURE = picture()


def scan(brightness: float, *, hot: bool = False) -> NDArray[np.uint16]:
    """A grey scan of 12 bits in 16."""
    values = RANDOM.uniform(0, 4095 * brightness, (64, 64)).astype(np.uint16)
    if hot:
        values[3, 3] = 65535
    return values


def test_a_dim_picture_stays_dim_and_a_hot_pixel_darkens_nothing() -> None:
    dim, bright, hot = scan(0.2), scan(1.0), scan(1.0, hot=True)
    blobs = [png(one, 0) for one in (dim, bright, hot)]
    found = inspect(blobs, [True] * 3, threads=2)
    assert found.scale == PixelScale(0.0, 4095.0)
    means = [decode_to(blob, "squish", 64, scale=found.scale).mean() for blob in blobs]
    assert means[0] == pytest.approx(0.2 * means[1], rel=0.1)
    assert means[2] == pytest.approx(means[1], rel=0.05)


def test_a_narrow_band_on_an_offset_is_stretched_alike_for_all() -> None:
    cold = RANDOM.normal(29_000, 40, (64, 64)).astype(np.uint16)
    warm = RANDOM.normal(29_400, 40, (64, 64)).astype(np.uint16)
    blobs = [png(cold, 0), png(warm, 0)]
    scale = inspect(blobs, [True] * 2, threads=1).scale
    assert scale is not None
    low, high = (decode_to(blob, "squish", 64, scale=scale).mean() for blob in blobs)
    assert high - low > 100


def test_degrees_are_degrees_in_every_picture() -> None:
    normal = RANDOM.uniform(18, 30, (32, 32)).astype(np.float32)
    over = RANDOM.uniform(60, 90, (32, 32)).astype(np.float32)
    blobs = [tiff(one, photometric="minisblack") for one in (normal, over)]
    scale = inspect(blobs, [True] * 2, threads=1).scale
    assert scale is not None
    low, high = (decode_to(blob, "squish", 32, scale=scale).mean() for blob in blobs)
    assert high - low > 80


def test_what_is_held_out_decides_nothing() -> None:
    blobs = [png(scan(1.0), 0), png(RANDOM.integers(0, 65536, (64, 64)).astype(np.uint16), 0)]
    assert inspect(blobs, [True, False], threads=1).scale == PixelScale(0.0, 4095.0)
    assert inspect(blobs, [True, True], threads=1).scale == PixelScale(0.0, 65535.0)


def test_ordinary_pictures_have_no_scale_and_are_not_changed_by_one() -> None:
    blobs = [encoded(PICTURE, "PNG"), encoded(PICTURE, "JPEG")]
    assert inspect(blobs, [True] * 2, threads=1).scale is None
    for blob in blobs:
        plain = decode_to(blob, "squish", 64)
        assert np.array_equal(decode_to(blob, "squish", 64, scale=PixelScale(0, 9)), plain)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_pictures_of_one_colour_are_named(kind: str) -> None:
    blank = np.full((200, 300, 3), 255, np.uint8)
    small = np.full((20, 20, 3), 90, np.uint8)
    blobs = [encoded(one, kind) for one in (PICTURE, blank, small, PICTURE)]
    found = inspect(blobs, [True] * 4, threads=2).blank
    assert list(found) == [1, 2]


def test_damage_is_left_to_who_embeds_it() -> None:
    assert (
        inspect([b"nothing", encoded(PICTURE, "PNG")[:200]], [True, True], threads=1).scale is None
    )


def test_a_scale_of_one_value_is_a_scale() -> None:
    scale = of_samples([np.full(10, 7.5)])
    assert scale.low < 7.5 < scale.high
