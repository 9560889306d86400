"""More than eight bits a sample: black stays black, planes are planes, colours keep their bits."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.core.errors import HeadstartError
from tests.unit.worker.ml.drawn_images import difference, picture
from worker.ml.images import deep
from worker.ml.images.views import decode

PICTURE = picture()
GREY = PICTURE.mean(2)


def tiff(values: NDArray[Any], **options: Any) -> bytes:
    """As tifffile writes it."""
    out = io.BytesIO()
    tifffile.imwrite(out, values, **options)
    return out.getvalue()


def png(
    values: NDArray[Any], colour: int, *, chunks: tuple[tuple[bytes, bytes], ...] = ()
) -> bytes:
    """A PNG of big-endian samples, unfiltered."""
    height, width = values.shape[:2]
    depth = values.dtype.itemsize * 8
    rows = b"".join(b"\0" + row.astype(f">u{depth // 8}").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    listed = ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in listed
    )


def whole_grey(values: NDArray[Any]) -> NDArray[np.uint8]:
    wide = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(wide.min()), float(wide.max())
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high < 65536 and values.dtype.kind != "f":
        bits = next(bits for bits in (8, 10, 12, 14, 16) if high < 2**bits)
        low, high = 0.0, float(2**bits - 1)
    return np.rint((wide - low) * (255 / ((high - low) or 1))).astype(np.uint8)


RANDOM = np.random.default_rng(0)
FLOATS = RANDOM.normal(size=(80, 120)).astype(np.float32)
BROKEN = np.where(FLOATS > 1, [[np.nan, np.inf, -np.inf] * 40], FLOATS).astype(np.float32)
INTEGERS = RANDOM.integers(0, 2**31, (80, 120), dtype=np.int32)
VALUES: dict[str, NDArray[Any]] = {
    **{
        f"{bits} bits": (INTEGERS % 2**bits).astype(np.uint16)
        for bits in (3, 8, 9, 10, 12, 13, 14, 16)
    },
    "zeros": np.zeros((80, 120), np.uint16),
    "the other order": (INTEGERS % 4000).astype(">u2"),
    "16 of 32 bits": INTEGERS % 65536,
    "17 of 32 bits": INTEGERS % 65537 + 1,
    "below zero": INTEGERS // 2 - 2**29,
    "all the same": np.full((80, 120), 70_000, np.int32),
    "floats": FLOATS * 300,
    "floats of 0 to 1": np.abs(FLOATS) / 10,
    "floats with holes": BROKEN,
    "no numbers": np.full((80, 120), np.nan, np.float32),
    "whole floats": (INTEGERS % 5000).astype(np.float32),
}


@pytest.mark.parametrize("strip", [1, 1000, 120 * 80])
@pytest.mark.parametrize("name", VALUES)
def test_strips_are_the_pixels_of_the_whole(
    name: str, strip: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deep, "STRIP", strip)
    assert np.array_equal(deep.to_bytes(VALUES[name][..., None])[..., 0], whole_grey(VALUES[name]))


def test_little_is_held_beside_values_and_their_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep, "STRIP", 10_000)
    values = np.zeros((1000, 1000, 1), np.float32)
    tracemalloc.start()
    try:
        deep.to_bytes(values)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 2_000_000


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_white_is_zero_is_no_negative(order: str, compression: str | None) -> None:
    values = (GREY * 257).astype(np.uint16)
    options: dict[str, Any] = {"byteorder": order, "compression": compression}
    black = decode(tiff(values, photometric="minisblack", **options))
    white = decode(tiff(65535 - values, photometric="miniswhite", **options))
    assert np.array_equal(black, white)
    eight = GREY.astype(np.uint8)
    assert np.array_equal(
        decode(tiff(eight, photometric="minisblack")),
        decode(tiff(255 - eight, photometric="miniswhite")),
    )


def test_planes_are_no_noise() -> None:
    values = PICTURE.astype(np.uint16) * 257
    planes = np.moveaxis(values, -1, 0)
    found = decode(tiff(planes, photometric="rgb", planarconfig="separate"))
    assert difference(found, PICTURE) <= 1
    eight = np.moveaxis(PICTURE, -1, 0)
    assert np.array_equal(decode(tiff(eight, photometric="rgb", planarconfig="separate")), PICTURE)


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_colours_are_scaled_by_the_bits_in_use_as_greys_are(bits: int) -> None:
    values = np.rint(PICTURE * ((2**bits - 1) / 255)).astype(np.uint16)
    values[0, 0] = 2**bits - 1
    grey = np.rint(GREY * ((2**bits - 1) / 255)).astype(np.uint16)
    grey[0, 0] = 2**bits - 1
    for data in (png(values, 2), tiff(values, photometric="rgb")):
        assert difference(decode(data)[1:], PICTURE[1:]) <= 1
    for data in (png(grey, 0), tiff(grey, photometric="minisblack")):
        assert difference(decode(data)[1:, :, 0], GREY[1:]) <= 2


def test_a_deep_alpha_is_an_alpha() -> None:
    alpha = np.full((*PICTURE.shape[:2], 1), 65535, np.uint16)
    alpha[:40] = 0
    values = np.dstack([PICTURE.astype(np.uint16) * 257, alpha])
    files = (png(values, 6), tiff(values, photometric="rgb", extrasamples=["unassalpha"]))
    for data in files:
        found = decode(data)
        assert (found[:40] == 255).all()
        assert difference(found[40:], PICTURE[40:]) <= 1


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_a_deep_tiff_is_turned_once(kind: type) -> None:
    values = np.rot90(PICTURE).astype(kind) * (257 if kind is np.uint16 else 1 / 255)
    data = tiff(values.astype(kind), photometric="rgb", extratags=[(274, "H", 1, 6, True)])
    assert difference(decode(data), PICTURE) <= 1


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_float_colours_are_read(kind: type) -> None:
    values = (PICTURE / 255).astype(kind)
    values[0, 0], values[0, 1] = 0, 1
    assert difference(decode(tiff(values, photometric="rgb"))[1:], PICTURE[1:]) <= 1


BANDS = np.zeros((8, 24, 24), np.uint16)
UNREAD: list[tuple[NDArray[Any], dict[str, Any], str]] = [
    (BANDS, {"photometric": "minisblack", "planarconfig": "separate"}, "8 samples of 16-bit"),
    (np.zeros((24, 24), np.complex64), {"photometric": "minisblack"}, "1 sample of 64-bit"),
    (np.zeros((24, 24, 4), np.uint16), {"photometric": "separated"}, "4 samples of 16-bit"),
]


@pytest.mark.parametrize(("values", "options", "says"), UNREAD)
def test_what_is_not_read_is_refused_with_its_facts(
    values: NDArray[Any], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(HeadstartError) as caught:
        decode(tiff(values, **options))
    assert caught.value.code == "image_invalid"
    assert says in caught.value.message
    assert "0x" not in caught.value.message


def test_a_jpeg_of_twelve_bits_says_so() -> None:
    frame = b"\xff\xc1" + struct.pack(">HBHHB", 11, 12, 16, 16, 1) + b"\x01\x11\x00"
    with pytest.raises(HeadstartError) as caught:
        decode(b"\xff\xd8" + frame + b"\xff\xda" + b"\0" * 40)
    assert "12 bits" in caught.value.message


@pytest.mark.parametrize("note", [b"iCCP", b"zTXt", b"tEXt"])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_large_note_is_none_of_the_pixels(note: bytes, depth: type) -> None:
    text = b"x" * 3_000_000
    body = {
        b"iCCP": b"icc\0\0" + zlib.compress(text),
        b"zTXt": b"Comment\0\0" + zlib.compress(text),
        b"tEXt": b"Comment\0" + text,
    }[note]
    values = PICTURE.astype(depth) * (257 if depth is np.uint16 else 1)
    assert difference(decode(png(values, 2, chunks=((note, body),))), PICTURE) <= 1


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255), st.booleans())
def test_damage_is_an_error_or_a_picture(place: int, value: int, planar: bool) -> None:
    values = PICTURE.astype(np.uint16) * 257
    data = bytearray(
        tiff(np.moveaxis(values, -1, 0), photometric="rgb", planarconfig="separate")
        if planar
        else png(values, 2)
    )
    data[place % min(len(data), 400)] ^= value
    with suppress(HeadstartError):
        assert decode(bytes(data)).shape[2] == 3
