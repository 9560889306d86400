"""From an image's bytes to the network's pixels; training and serving both come through here.

Every picture becomes upright 8-bit RGB on white, then one antialiased bicubic resize to the
network's size. Which other views are asked for at the same time never changes a view's pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from app.core import image_header
from app.core.modalities import View
from worker.ml.images import apart
from worker.ml.images.pixel_scale import PixelScale

PREPROCESSING_VERSION = "1"
"""Part of every embedding's key: raise it when the same bytes would give other pixels."""

VIEWS: tuple[View, ...] = get_args(View)
PRIMARY: View = "squish"
GREY = 128
SHRINK = 2
"""A large JPEG is decoded at half or less, its sides still so many times the largest view's."""

Pixels = NDArray[np.uint8]


def decode(data: bytes) -> Pixels:
    """The whole picture, [height, width, 3] RGB.

    Raises image_truncated, image_invalid, image_too_large, image_dimensions, too_many_frames or
    unsupported_image_format.
    """
    return apart.decode(data, image_header.inspect(data), at_least=None)


def decode_to(data: bytes, view: View, size: int, *, scale: PixelScale | None = None) -> Pixels:
    """One view for the network's `size`: [s, s, 3], s = `view_size(view, size)`."""
    return decode_views(data, (view,), size, scale=scale)[0]


def decode_views(
    data: bytes, views: Sequence[View], size: int, *, scale: PixelScale | None = None
) -> list[Pixels]:
    """Several views from one decode, in the order asked for; raises as `decode`.

    `scale` is the dataset's of pictures with more than eight bits a sample.
    """
    at_least = SHRINK * view_size("large", size)
    header, ends = image_header.inspect(data), None if scale is None else (scale.low, scale.high)
    pixels = apart.decode(data, header, at_least=at_least, ends=ends)
    return render(pixels, views, size)


def render(pixels: Pixels, views: Sequence[View], size: int) -> list[Pixels]:
    """The views of a decoded picture [h, w, 3]; the squish that several share is made once."""
    squish = _resize(pixels, size, size) if set(views) & _TURNS.keys() else pixels
    return [_render(pixels, squish, view, size) for view in views]


def as_view(name: str) -> View:
    """Raises ValueError for a name that is no view of images."""
    return VIEWS[VIEWS.index(name)]


def view_size(view: View, size: int) -> int:
    """The side of a view's square: `large` is 9/7 of the network's (288 for 224)."""
    return size * 9 // 7 if view == "large" else size


def _render(pixels: Pixels, squish: Pixels, view: View, size: int) -> Pixels:
    if view in _TURNS:
        return _TURNS[view](squish)
    if view == "large":
        edge = view_size(view, size)
        return _resize(pixels, edge, edge)
    return _pad(pixels, size) if view == "pad" else _crop(pixels, size)


def _pad(pixels: Pixels, size: int) -> Pixels:
    """The whole picture in its own proportions, centred on grey."""
    height, width = _scaled(pixels, size, max(pixels.shape[:2]))
    canvas = np.full((size, size, 3), GREY, np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    canvas[top : top + height, left : left + width] = _resize(pixels, height, width)
    return canvas


def _crop(pixels: Pixels, size: int) -> Pixels:
    """The largest centred square."""
    side = min(pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return _resize(pixels[top : top + side, left : left + side], size, size)


def _scaled(pixels: Pixels, size: int, side: int) -> tuple[int, int]:
    height, width = (max(1, round(length * size / side)) for length in pixels.shape[:2])
    return height, width


def _resize(pixels: Pixels, height: int, width: int) -> Pixels:
    """Antialiased bicubic, on bytes (torch's vectorised path), rounded as training saw it.

    The batch axis comes before the permutation: only then does torch see channels_last strides
    and keep them, in half the time of unpacking to planes and packing again.
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    planes: Tensor = torch.from_numpy(np.require(pixels, requirements="W"))[None].permute(
        0, 3, 1, 2
    )
    small = interpolate(planes, size=(height, width), mode="bicubic", antialias=True)
    return small.permute(0, 2, 3, 1)[0].contiguous().numpy()


def _turned(quarters: int) -> Callable[[Pixels], Pixels]:
    return lambda pixels: np.ascontiguousarray(np.rot90(pixels, quarters))


_TURNS: Mapping[View, Callable[[Pixels], Pixels]] = {
    "squish": np.ascontiguousarray,
    "mirror": lambda pixels: np.ascontiguousarray(pixels[:, ::-1]),
    "rot90": _turned(1),
    "rot180": _turned(2),
    "rot270": _turned(3),
}
