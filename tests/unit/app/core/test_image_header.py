from __future__ import annotations

import contextlib
import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.core import image_formats
from app.core.errors import HeadstartError
from app.core.image_header import inspect, sniff
from tests.archives import gif, picture, png, png_header

READABLE = [("PNG", mode, "png") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")] + [
    ("JPEG", "L", "jpeg"),
    ("JPEG", "RGB", "jpeg"),
    ("JPEG", "CMYK", "jpeg"),
    ("WEBP", "RGB", "webp"),
    ("WEBP", "RGBA", "webp"),
    ("BMP", "RGB", "bmp"),
    ("BMP", "1", "bmp"),
    ("GIF", "P", "gif"),
    ("TIFF", "RGB", "tiff"),
    ("TIFF", "CMYK", "tiff"),
    ("TIFF", "I;16", "tiff"),
]
ALL = [picture(kind, mode=mode) for kind, mode, _ in READABLE] + [gif(3)]


def code(data: bytes) -> str:
    with pytest.raises(HeadstartError) as caught:
        inspect(data)
    return caught.value.code


@pytest.mark.parametrize(("kind", "mode", "name"), READABLE)
def test_says_what_pillow_says(kind: str, mode: str, name: str) -> None:
    data = picture(kind, mode=mode, size=(31, 17))
    header = inspect(data)
    assert (header.format, header.width, header.height, header.frames) == (name, 31, 17, 1)
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (header.width, header.height)


@pytest.mark.parametrize("options", [{"lossless": True}, {"exif": b"Exif\0\0II*\0\0\0\0\0"}])
def test_webp_in_all_its_shapes(options: dict[str, object]) -> None:
    out = io.BytesIO()
    Image.new("RGB", (40, 30)).save(out, "WEBP", **options)
    assert (inspect(out.getvalue()).width, inspect(out.getvalue()).height) == (40, 30)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_counts_frames(kind: str) -> None:
    out = io.BytesIO()
    first, *rest = [Image.new("RGB", (12, 12), (at * 20, 0, 0)) for at in range(5)]
    first.save(out, kind, save_all=True, append_images=rest)
    assert inspect(out.getvalue()).frames == 5


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((12_000, 12_000), "image_too_large"),
        ((20_000, 20_000), "image_too_large"),
        ((2**31 - 1, 2**31 - 1), "image_too_large"),
        ((1, 60_000), "image_dimensions"),
        ((60_000, 1), "image_dimensions"),
        ((2, 4_000), "image_dimensions"),
        ((0, 10), "image_invalid"),
    ],
)
def test_sizes_beyond_the_limits(size: tuple[int, int], expected: str) -> None:
    assert code(png_header(*size)) == expected


def test_every_format_is_held_to_the_size() -> None:
    wide = struct.pack("<HH", 20_000, 20_000)
    assert code(b"GIF89a" + wide + b"\0\0\0;") == "image_too_large"
    assert code(b"BM" + bytes(12) + struct.pack("<Iii", 40, 20_000, -20_000)) == "image_too_large"
    assert code(b"\xff\xd8\xff\xc0\x00\x11\x08" + struct.pack(">HH", 20_000, 20_000)) == (
        "image_too_large"
    )
    tiff = bytearray(picture("TIFF"))
    at = struct.unpack_from("<I", tiff, 4)[0] + 2
    for entry in range(at, at + 24, 12):
        struct.pack_into("<HHII", tiff, entry, 256 + (entry > at), 4, 1, 20_000)
    assert code(bytes(tiff)) == "image_too_large"


def test_too_many_frames_are_counted_only_to_the_limit() -> None:
    assert inspect(gif(1000)).frames == 1000
    assert code(gif(10_000)) == "too_many_frames"
    looped = bytearray(picture("TIFF"))
    first = struct.unpack_from("<I", looped, 4)[0]
    entries = struct.unpack_from("<H", looped, first)[0]
    struct.pack_into("<I", looped, first + 2 + 12 * entries, first)
    assert inspect(bytes(looped)).frames == 1


def test_parts_without_end_are_followed_to_a_stated_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_formats, "MAX_STEPS", 100)
    screen, pixels = gif(0)[:-1], gif(1)[-16:]
    comments, long, short = b"\x21\xfe\0", b"\xff" + bytes(255), b"\x01x"
    assert inspect(screen + comments * 45 + pixels).frames == 1
    assert code(screen + comments * 51 + pixels) == "image_invalid"
    assert code(screen + (b"\x21\xfe" + short * 40 + b"\0") * 3 + pixels) == "image_invalid"
    assert inspect(screen + b"\x21\xfe" + long * 90 + b"\0" + pixels).frames == 1


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "image_invalid"),
        (bytes(5000), "image_invalid"),
        (b"hello, I am a text", "image_invalid"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported_image_format"),
        (b"<?xml version='1.0'?><svg xmlns='x'/>", "unsupported_image_format"),
        (b"\xef\xbb\xbf  <svg/>", "unsupported_image_format"),
        (b"<!DOCTYPE html><p>404", "unsupported_image_format"),
        (b"%PDF-1.7\n", "unsupported_image_format"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "image_invalid"),
        (bytes(128) + b"DICM", "image_invalid"),
        (b"\xff\xd8\xff\xd9", "image_invalid"),
        (png()[:20], "image_truncated"),
        (picture("JPEG")[:60], "image_truncated"),
        (picture("TIFF")[:60], "image_truncated"),
        (picture("WEBP")[:-9], "image_truncated"),
    ],
)
def test_what_is_no_image(data: bytes, expected: str) -> None:
    assert code(data) == expected


@given(st.sampled_from(ALL), st.data())
def test_any_damage_is_answered_with_a_code(good: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(good)))
    damaged = bytearray(good[:cut])
    for _ in range(data.draw(st.integers(0, 4))):
        if damaged:
            at = data.draw(st.integers(0, len(damaged) - 1))
            damaged[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(HeadstartError):
        assert inspect(bytes(damaged)).width > 0


@pytest.mark.parametrize(
    ("brands", "said"),
    [
        *((b"heic", "heic"), (b"avif", "avif"), (b"mif1\0\0\0\0mif1avif", "avif")),
        *((b"mif1\0\0\0\0mif1heic", "heic"), (b"qt  ", None), (b"mp42", None)),
    ],
)
def test_pictures_and_films_are_told_apart(brands: bytes, said: str | None) -> None:
    data = struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands
    if said is not None:
        assert sniff(data) == said
    else:
        with pytest.raises(HeadstartError, match="film"):
            sniff(data)
