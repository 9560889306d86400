"""Every oddity of a picture ends as the same upright RGB; every bad one with its code."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn.functional import interpolate

from app.core import image_header
from app.core.errors import HeadstartError
from tests.unit.worker.ml.drawn_images import difference, encoded, picture
from worker.ml.images import decoding
from worker.ml.images.views import (
    GREY,
    VIEWS,
    as_view,
    decode,
    decode_to,
    decode_views,
    render,
    view_size,
)

PICTURE = picture()
RGB = Image.fromarray(PICTURE)
TURNS = {  # how a picture lies in the file that each orientation describes
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = orientation
    return exif


@pytest.mark.parametrize(
    ("kind", "options", "most"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 3),
        ("JPEG", {"quality": 95}, 2),
        ("JPEG", {"quality": 95, "progressive": True}, 2),
        ("GIF", {}, 8),
    ],
)
def test_every_format_gives_the_picture(kind: str, options: dict[str, Any], most: float) -> None:
    assert difference(decode(encoded(RGB, kind, **options)), PICTURE) <= most


@pytest.mark.parametrize(
    ("image", "kind", "most"),
    [
        (RGB.convert("CMYK"), "JPEG", 3),
        (RGB.convert("CMYK"), "TIFF", 1),
        (RGB.convert("YCbCr"), "TIFF", 2),
        (RGB.quantize(256), "PNG", 8),
        (RGB.quantize(16), "PNG", 14),
        (RGB.quantize(256), "BMP", 8),
        (RGB.convert("RGBA"), "PNG", 0),
        (RGB.convert("RGBA"), "WEBP", 3),
        (RGB.convert("RGBA"), "TIFF", 0),
    ],
)
def test_every_colour_model_is_normalised(image: Image.Image, kind: str, most: float) -> None:
    assert difference(decode(encoded(image, kind)), PICTURE) <= most


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "GIF"])
def test_grey_becomes_three_equal_channels(kind: str) -> None:
    grey = RGB.convert("L")
    pixels = decode(encoded(grey, kind))
    assert pixels.shape == PICTURE.shape
    assert difference(pixels, np.repeat(np.array(grey)[..., None], 3, 2)) <= 1


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_deep_grey_is_scaled_by_the_bits_in_use(bits: int) -> None:
    deep = np.rint(np.array(RGB.convert("L")) / 255 * (2**bits - 1)).astype(np.uint16)
    deep[0, 0] = 2**bits - 1
    for kind in ("PNG", "TIFF"):
        pixels = decode(encoded(deep, kind))
        assert difference(pixels[..., 0], np.rint(deep * (255 / (2**bits - 1)))) <= 1


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_float_images_are_scaled_by_their_range(scale: float) -> None:
    values = (np.linspace(0, 1, 100, dtype=np.float32) * scale).reshape(10, 10)
    pixels = decode(encoded(values, "TIFF"))
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_sixteen_bit_colour_is_read() -> None:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in PICTURE.astype(int) * 257)
    header = struct.pack(">IIBBBBB", 120, 80, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )
    assert difference(decode(data), PICTURE) <= 1


def test_alpha_lies_on_white() -> None:
    rgba = np.dstack([PICTURE, np.full(PICTURE.shape[:2], 128, np.uint8)])
    half = np.rint(PICTURE * (128 / 255) + 255 * (127 / 255)).astype(np.uint8)
    assert difference(decode(encoded(rgba, "PNG")), half) <= 1
    rgba[:40, :, 3] = 0
    assert (decode(encoded(rgba, "PNG"))[:40] == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_an_alpha_of_zero_everywhere_says_nothing(kind: str) -> None:
    rgba = np.dstack([PICTURE, np.zeros(PICTURE.shape[:2], np.uint8)])
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    assert np.array_equal(decode(encoded(rgba, kind, **options)), PICTURE)


@pytest.mark.parametrize("ink", [255, 240])
def test_white_ink_on_a_transparent_ground_is_seen(ink: int) -> None:
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[8:24, 8:24] = (ink, ink, ink, 255)
    pixels = decode(encoded(rgba, "PNG"))
    assert (pixels[:8] == 0).all()
    assert (pixels[8:24, 8:24] == ink).all()


def test_dark_ink_stays_on_white_whatever_is_under_it() -> None:
    rgba = np.full((32, 32, 4), (255, 255, 255, 0), np.uint8)
    rgba[8:24, 8:24] = (20, 20, 20, 255)
    pixels = decode(encoded(rgba, "PNG"))
    assert (pixels[:8] == 255).all()
    assert (pixels[8:24, 8:24] == 20).all()


def test_a_transparent_colour_lies_on_white() -> None:
    picture = np.full((8, 8, 3), 200, np.uint8)
    picture[2:4] = 0
    black = (decode(encoded(picture, "PNG", transparency=(0, 0, 0))) == [255, 255, 255]).all(2)
    assert black.sum() == 16
    everywhere = Image.new("RGB", (8, 8), "black")
    assert (decode(encoded(everywhere, "PNG", transparency=(0, 0, 0))) == 0).all()


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_cameras_turn_is_undone(kind: str, orientation: int) -> None:
    data = encoded(RGB.transpose(TURNS[orientation]), kind, exif=turned(orientation), quality=95)
    assert difference(decode(data), PICTURE) <= 3


def test_a_senseless_orientation_is_ignored() -> None:
    assert difference(decode(encoded(RGB, "PNG", exif=turned(99))), PICTURE) == 0


def test_only_the_first_frame_counts() -> None:
    others = [Image.new("RGB", RGB.size, colour) for colour in ("red", "blue")]
    for kind in ("GIF", "TIFF", "WEBP", "PNG"):
        data = encoded(RGB, kind, save_all=True, append_images=others)
        assert difference(decode(data), PICTURE) <= 8


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.995])
def test_every_cut_file_is_found(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8)
    data = encoded(noise, kind)
    with pytest.raises(HeadstartError) as caught:
        decode(data[: int(share * len(data))])
    assert caught.value.code == "image_truncated"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "image_invalid"),
        (b"\0" * 400, "image_invalid"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9", "unsupported_image_format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_image_format"),
        (b"\x89PNG\r\n\x1a\n" + b"junk" * 20, "image_invalid"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, code: str) -> None:
    with pytest.raises(HeadstartError) as caught:
        decode(data)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("size", "code"),
    [
        ((12_000, 12_000), "image_too_large"),
        ((20_000, 20_000), "image_too_large"),
        ((1, 60_000), "image_dimensions"),
    ],
)
def test_bombs_are_refused_by_their_header(size: tuple[int, int], code: str) -> None:
    body = b"IHDR" + struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n\0\0\0\r" + body + struct.pack(">I", zlib.crc32(body))
    with pytest.raises(HeadstartError) as caught:
        decode(data + b"\0\0\0\0IDAT")
    assert caught.value.code == code


def test_too_many_frames_are_refused() -> None:
    frame = encoded(Image.new("P", (1, 1)), "GIF")
    image = frame[frame.index(b",") : -1]
    with pytest.raises(HeadstartError) as caught:
        decode(frame[:-1] + image * 10_000 + b";")
    assert caught.value.code == "too_many_frames"


def outcome(data: bytes) -> str:
    """The error's code, or `read`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow remarks on strange files
            pixels = decode(data)
    except HeadstartError as error:
        return error.code
    return "read" if pixels.dtype == np.uint8 and pixels.shape[2] == 3 else "nonsense"


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damage_never_escapes_as_another_error(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"]))
    body = bytearray(encoded(picture(24, 16), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    assert outcome(bytes(body)).startswith(("image_", "unsupported_", "too_many_", "read"))


def test_the_two_jpeg_decoders_agree() -> None:
    for options in ({}, {"progressive": True}, {"subsampling": 0}, {"optimize": True}):
        data = encoded(RGB, "JPEG", quality=80, **options)
        with Image.open(io.BytesIO(data)) as image:
            assert np.array_equal(decode(data), np.array(image.convert("RGB")))


def test_a_harmless_jpeg_irregularity_is_left_to_pillow() -> None:
    data = encoded(RGB, "JPEG", quality=95)
    assert difference(decode(data + b"trailing"), PICTURE) <= 2


def test_a_large_jpeg_decoded_small_keeps_its_looks() -> None:
    large = RGB.resize((1600, 1200), Image.Resampling.BICUBIC)
    data = encoded(large, "JPEG", quality=95)
    header = image_header.inspect(data)
    assert decoding.decode(data, header, at_least=576).shape[0] < 1200
    png = encoded(large, "PNG")
    for view in VIEWS:
        assert difference(decode_to(data, view, 224), decode_to(png, view, 224)) <= 2


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_has_its_size(view: Any) -> None:
    for width, height in ((120, 80), (80, 120), (1, 1), (3, 500), (224, 224)):
        pixels = decode_to(encoded(picture(width, height), "PNG"), view, 224)
        side = view_size(view, 224)
        assert pixels.shape == (side, side, 3)
        assert pixels.dtype == np.uint8
        assert pixels.flags["C_CONTIGUOUS"]


def test_a_view_does_not_depend_on_the_others_asked_for() -> None:
    large = RGB.resize((1300, 1250), Image.Resampling.BICUBIC)
    for data in (encoded(RGB, "PNG"), encoded(large, "JPEG")):
        together = decode_views(data, VIEWS, 224)
        for view, pixels in zip(VIEWS, together, strict=True):
            assert np.array_equal(pixels, decode_to(data, view, 224))


def test_views_are_turns_of_the_squish() -> None:
    squish, mirror, rot90, rot180, rot270 = decode_views(
        encoded(RGB, "PNG"), ("squish", "mirror", "rot90", "rot180", "rot270"), 64
    )
    assert np.array_equal(mirror, squish[:, ::-1])
    assert np.array_equal(rot90, np.rot90(squish))
    assert np.array_equal(rot180, np.rot90(squish, 2))
    assert np.array_equal(rot270, np.rot90(squish, 3))


def test_pad_keeps_proportions_on_grey_and_crop_keeps_the_middle() -> None:
    pad, crop = decode_views(encoded(picture(120, 60), "PNG"), ("pad", "crop"), 64)
    assert (pad[:16] == GREY).all()
    assert (pad[-16:] == GREY).all()
    assert difference(pad[16:48], decode_to(encoded(picture(64, 32), "PNG"), "pad", 64)[16:48]) < 4
    assert 58 <= crop[:, 0, 0].mean() <= 70  # a quarter of the way to the right


def test_the_resize_is_antialiased() -> None:
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    small = decode_to(encoded(stripes, "PNG"), "squish", 64)
    assert np.abs(small.astype(int) - 128).max() <= 6  # 5 at the border


@settings(max_examples=40, deadline=None)
@given(width=st.integers(1, 400), height=st.integers(1, 400), seed=st.integers(0, 9))
def test_the_resize_gives_the_bytes_that_plane_by_plane_resizing_gives(
    width: int, height: int, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    (squish,) = render(pixels, ("squish",), 64)
    for channel in range(3):
        plane = torch.from_numpy(pixels[None, None, ..., channel].copy())
        small = interpolate(plane, size=(64, 64), mode="bicubic", antialias=True)
        assert np.array_equal(squish[..., channel], small[0, 0].numpy())


def test_an_unknown_view_is_refused() -> None:
    assert as_view("squish") == "squish"
    with pytest.raises(ValueError, match="not in"):
        as_view("sideways")
