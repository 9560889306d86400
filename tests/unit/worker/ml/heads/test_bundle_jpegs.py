"""What a bundle's own script reads of a photograph is what the service reads."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from worker.ml.heads.bundle import run
from worker.ml.heads.export import decode_at_least
from worker.ml.images.views import decode_to

SIZE = 224


def photograph(width: int, height: int, orientation: int = 1) -> bytes:
    """A JPEG of stripes and noise, turned as cameras turn them."""
    random = np.random.default_rng(width)
    pixels = random.integers(0, 90, (height, width, 3)) + 80
    pixels[:: max(4, height // 90)] = 250
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=90, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("sides", [(1300, 1250), (1900, 1440), (640, 480)])
def test_large_jpegs_are_scaled_alike(sides: tuple[int, int], orientation: int) -> None:
    data = photograph(*sides, orientation)
    theirs = run.render(run.decode(data, decode_at_least(SIZE)), "squish", SIZE)
    ours = decode_to(data, "squish", SIZE)
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


def test_without_simplejpeg_pillow_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "simplejpeg", None)
    image = run.decode(photograph(1300, 1250), decode_at_least(SIZE))
    assert image.size == (650, 625)


def test_what_simplejpeg_refuses_pillow_reads_whole() -> None:
    data = photograph(1300, 1250)
    image = run.decode(data[:-2] + b"\x00" * 4000, decode_at_least(SIZE))
    assert image.mode == "RGB"
