"""A program: cuts boxes out of pictures, or counts their colours, as pictures are decoded only
within limits of their own.

Usage: child.py MEMORY SECONDS. It reads requests `{"length", "box", "size", "fractions"}`, a
line each, and after it that many bytes of a picture, none for the picture before. It answers
`{"length"}` and a PNG (of floats and 32-bit integers a TIFF), or `{"code", "message"}`. Without a
`box` it answers `{"colours", "flat", "smooth"}`: how many make up three quarters of the picture,
and, of 32 levels a channel, nine tenths and 98 in a hundred; and of its middle, without the colour
most of that has, the shares that are as what is right of them and below (of JPEG none: its blocks
are), and that are grey without a grain. It
imports nothing of ours, so that it runs by path; its leash, which runs so too, ends it with its
parent.
"""

from __future__ import annotations

import io
import json
import resource
import runpy
import sys
from collections import Counter
from pathlib import Path
from typing import Any

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "JPEG2000", "PPM", "AVIF", "HEIF")
LOOKED_AT = 256
KEPT = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B")
"""Modes that a PNG has; floats and 32-bit integers become a TIFF, all else RGB."""


def main(memory: int, seconds: int) -> int:
    """Answer requests until there are none; the exit status."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from PIL import Image

    Image.init()
    _open_heif()
    Image.MAX_IMAGE_PIXELS = None  # the parent has looked at its size
    source, out = sys.stdin.buffer, sys.stdout.buffer
    picture: Any = None
    while line := source.readline():
        _allow(seconds)
        asked = json.loads(line)
        data = source.read(asked["length"])
        told: dict[str, Any]
        cut = b""
        try:
            picture = _opened(data) if data else picture
            if asked["box"] is None:
                told = {"colours": _colours(picture), **_areas(picture)}
            else:
                cut = _cut(picture, asked)
                told = {"length": len(cut)}
        except _NotCut as refused:
            told = {"code": refused.args[0], "message": refused.args[1]}
        except MemoryError:
            told = {"code": "image_invalid", "message": "to decode it takes too much memory"}
        out.write(json.dumps(told).encode() + b"\n" + cut)
        out.flush()
    return 0


def _open_heif() -> None:
    """Let HEIC be read, where what reads it is installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return
    register_heif_opener(thumbnails=False)


class _NotCut(Exception):  # noqa: N818 - not an error of this program
    """Code and message for the parent."""


def _allow(seconds: int) -> None:
    """So many seconds of processor time from now on; it is killed at their end."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _opened(data: bytes) -> Any:
    """The decoded picture, or what is wrong with it, for all boxes that it has."""
    from PIL import Image, UnidentifiedImageError

    known = [name for name in FORMATS if name in Image.OPEN]
    try:
        picture = Image.open(io.BytesIO(data), formats=known)
        picture.load()
    except UnidentifiedImageError:
        return _NotCut("unsupported_image_format", f"boxes are cut out of {', '.join(known)}")
    except MemoryError:
        return _NotCut("image_invalid", "to decode it takes too much memory")
    except Exception as error:  # noqa: BLE001 - hostile bytes in a library
        code = "image_truncated" if "truncated" in str(error) else "image_invalid"
        return _NotCut(code, "the picture cannot be decoded")
    return picture


def _cut(picture: Any, asked: dict[str, Any]) -> bytes:
    """The part of the picture in `box` (left, top, width, height), upright."""
    if isinstance(picture, _NotCut):
        raise picture
    from PIL import ImageOps

    size = asked["size"]
    upright = ImageOps.exif_transpose(picture)
    as_stored = size is not None and tuple(size) == picture.size != upright.size
    drawn_on = picture if as_stored else upright
    if size is not None and tuple(size) != drawn_on.size:
        what = f"{size[0]} x {size[1]} pixels, the picture has {drawn_on.size[0]} x"
        raise _NotCut("image_dimensions", f"the list says {what} {drawn_on.size[1]}")
    box = [float(one) for one in asked["box"]]
    if asked["fractions"]:
        box = [round(one * drawn_on.size[at % 2], 3) for at, one in enumerate(box)]
    part = drawn_on.crop(_within(box, drawn_on.size))
    return _encoded(ImageOps.exif_transpose(part) if as_stored else part)


def _colours(picture: Any) -> tuple[int, int, int]:
    """How many colours make up most of the picture, as `main` answers it; of a picture with a side
    above `LOOKED_AT`, of so many pixels as they are, none mixed."""
    if isinstance(picture, _NotCut):
        raise picture
    from PIL import Image

    scale = min(1.0, LOOKED_AT / max(picture.size))
    size = tuple(max(1, int(side * scale)) for side in picture.size)
    small = picture.resize(size, Image.Resampling.NEAREST).convert("RGB")
    exact = Counter(zip(*[iter(small.tobytes())] * 3, strict=True))
    coarse = Counter[tuple[int, ...]]()
    for colour, count in exact.items():
        coarse[tuple(channel >> 3 for channel in colour)] += count
    return _needed(exact, 0.75), _needed(coarse, 0.9), _needed(coarse, 0.98)


def _areas(picture: Any) -> dict[str, float]:
    """The shares of flat and of smooth pixels, as `main` answers them."""
    from PIL import Image, ImageChops

    width, height = picture.size
    left, top = max(0, (width - LOOKED_AT) // 2), max(0, (height - LOOKED_AT) // 2)
    middle = picture.crop((left, top, min(width, left + LOOKED_AT), min(height, top + LOOKED_AT)))
    middle = middle.convert("RGB")
    (most, _), *_ = Counter(zip(*[iter(middle.tobytes())] * 3, strict=True)).most_common(1)
    others = _apart(middle, Image.new("RGB", middle.size, most)).point(lambda far: 255 * (far > 0))
    count = others.histogram()[255]
    if not count:
        return {"flat": 0.0, "smooth": 0.0}
    moves = (((1, 0), (-1, 0)), ((0, 1), (0, -1)))
    beside = [[ImageChops.offset(middle, *move) for move in two] for two in moves]
    steps = ImageChops.lighter(*(_apart(middle, two[1]) for two in beside))
    means = (ImageChops.add(one, other, 2.0) for one, other in beside)
    grain = ImageChops.lighter(*(_apart(middle, mean) for mean in means))
    grey = _apart(middle, middle.convert("L").convert("RGB"))
    rough = ImageChops.lighter(grain, grey).histogram(others)
    flat = 0 if picture.format == "JPEG" else steps.histogram(others)[0]
    return {"flat": flat / count, "smooth": sum(rough[:2]) / count}


def _apart(one: Any, other: Any) -> Any:
    """How far each pixel is from the other's, in the channel that is farthest."""
    from PIL import ImageChops

    red, green, blue = ImageChops.difference(one, other).split()
    return ImageChops.lighter(ImageChops.lighter(red, green), blue)


def _needed(counts: Counter[Any], share: float) -> int:
    """How many of the most frequent are such a share of all."""
    left = share * counts.total()
    for needed, (_, count) in enumerate(counts.most_common(), 1):
        left -= count
        if left <= 0:
            return needed
    return len(counts)


def _within(box: list[float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box in whole pixels, the parts of pixels included, as far as it lies in the picture."""
    left, top = max(0, int(box[0])), max(0, int(box[1]))
    right, bottom = (min(size[at], -int(-(box[at] + box[at + 2]) // 1)) for at in (0, 1))
    if right <= left or bottom <= top:
        raise _NotCut("image_dimensions", "the box has no pixel of the picture")
    return left, top, right, bottom


def _encoded(part: Any) -> bytes:
    out = io.BytesIO()
    if part.mode == "I" and part.getextrema()[0] >= 0 and part.getextrema()[1] < 65536:
        part = part.convert("I;16")
    if part.mode in ("F", "I"):
        part.save(out, "TIFF")
    else:
        kept = part if part.mode in KEPT else part.convert("RGB")
        kept.save(out, "PNG", compress_level=1, exif=b"", icc_profile=part.info.get("icc_profile"))
    return out.getvalue()


if __name__ == "__main__":
    runpy.run_path(str(Path(__file__).parents[3] / "infra" / "processes" / "leash.py"))["obey"]()
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
