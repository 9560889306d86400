"""HEIC, AVIF, JPEG 2000 and PNM: upright, in their own colours, of their own bits."""

from __future__ import annotations

import io
import sys
from contextlib import suppress
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
from tests.unit.dicoms import grey
from tests.unit.worker.ml.drawn_images import difference, picture
from worker.ml.images import decoding, deep
from worker.ml.images.views import decode

PICTURE = picture()
"""[h, w, 3]"""
HEIGHT, WIDTH = PICTURE.shape[:2]


def saved(image_format: str, *, mode: str = "RGB", **options: Any) -> bytes:
    pillow_heif.register_heif_opener()
    out = io.BytesIO()
    Image.fromarray(PICTURE).convert(mode).save(out, image_format, **options)
    return out.getvalue()


FILES = {
    "heic": lambda: saved("HEIF", quality=95),
    "avif": lambda: saved("AVIF", quality=95),
    "jp2": lambda: saved("JPEG2000"),
    "j2k": lambda: saved("JPEG2000", no_jp2=True),
    "pnm": lambda: saved("PPM"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_header_says_the_size_and_the_pixels_are_the_pictures(name: str) -> None:
    data = FILES[name]()
    header = image_header.inspect(data)
    assert (header.width, header.height) == (WIDTH, HEIGHT)
    assert header.format == {"j2k": "jp2"}.get(name, name)
    assert difference(decode(data), PICTURE) < 6


@pytest.mark.parametrize("image_format", ["HEIF", "AVIF"])
def test_a_phones_turn_is_undone_once(image_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(image_format, quality=95, exif=exif.tobytes())
    assert difference(decode(data), np.rot90(PICTURE, -1)) < 6


def test_a_heic_without_its_reader_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    data = FILES["heic"]()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(HeadstartError, match=r"headstart\[formats\]") as caught:
        decoding.decode(data, image_header.inspect(data), at_least=None)
    assert caught.value.code == "unsupported_image_format"


def test_sixteen_bits_of_jpeg_2000_are_not_eight() -> None:
    values = grey(top=65535)
    data = imagecodecs.jpeg2k_encode(values, level=0, codecformat="jp2")
    assert np.abs(decode(data)[..., 0].astype(int) - np.rint(values / 257)).max() <= 1
    samples = deep.read(data, image_header.inspect(data))
    assert samples is not None
    assert (samples.values[..., 0] == values).all()


@pytest.mark.parametrize("kind", [2, 5])
def test_a_deep_pgm_keeps_its_bits(kind: int) -> None:
    values = grey(top=4095)
    body = values.astype(">u2").tobytes() if kind == 5 else " ".join(map(str, values.flat)).encode()
    data = b"P%d\n# of a scanner\n64 64\n4095\n" % kind + body
    samples = deep.read(data, image_header.inspect(data))
    assert samples is not None
    assert (samples.values[..., 0] == values).all()


@pytest.mark.parametrize("mode", ["1", "L"])
def test_bits_and_greys(mode: str) -> None:
    expected = np.asarray(Image.fromarray(PICTURE).convert(mode).convert("RGB"))
    assert (decode(saved("PPM", mode=mode)) == expected).all()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"P5 64 64 255\n" + bytes(4095), "image_truncated"),
        (b"P5 64 64 70000\n" + bytes(9000), "image_invalid"),
        (b"P6 20000 20000 255\n", "image_too_large"),
        (b"P2 " + b"#" + b"x" * 100_000, "image_invalid"),
        (b"P2 4 4 4095\n1 2 3", "image_invalid"),
        (b"P2 2 2 4095\n1 2 3 x", "image_invalid"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image_invalid"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "image_truncated"),
        (b"\xff\x4f\xff\x51" + bytes(20), "image_truncated"),
    ],
)
def test_damage_is_told_by_its_code(data: bytes, code: str) -> None:
    with pytest.raises(HeadstartError) as caught:
        decode(data)
    assert caught.value.code == code


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_any_damage_is_answered_with_a_code(name: str, data: st.DataObject) -> None:
    good = FILES[name]()
    damaged = bytearray(good[: data.draw(st.integers(12, len(good)))])
    for _ in range(data.draw(st.integers(0, 6))):
        damaged[data.draw(st.integers(12, max(12, len(damaged) - 1))) % len(damaged)] ^= data.draw(
            st.integers(1, 255)
        )
    with suppress(HeadstartError):
        assert decode(bytes(damaged)).shape[2] == 3
