"""What to lay a transparent picture on, so that what it shows stays to be seen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Ground = Literal["white", "black", "none"]

NEAR_WHITE = 224
"""From this on in every channel, a pixel cannot be told from white with certainty."""
FEW = 0.01
"""Of what is visible: a picture that has not even so much beside white is lost on white."""


def ground(strips: Iterable[Pixels]) -> Ground:
    """Of a picture's RGBA in strips [h, w, 4]: white; black for what is all near white; none where
    alpha is zero everywhere, since then it says nothing.
    """
    visible = dark = opaque = total = 0.0
    for strip in strips:
        alpha = strip[..., 3].astype(np.float32)
        visible += float(alpha.sum(dtype=np.float64))
        dark += float(alpha[strip[..., :3].min(2) < NEAR_WHITE].sum(dtype=np.float64))
        opaque += float((strip[..., 3] == 255).sum())
        total += alpha.size
    if visible == 0:
        return "none"
    return "black" if dark < FEW * visible and opaque < total else "white"


def on(chosen: Ground, rgba: Pixels) -> Pixels:
    """RGBA [h, w, 4] on its ground, [h, w, 3], rounded as Pillow's alpha_composite does."""
    colours = rgba[..., :3]
    if chosen == "none":
        return np.ascontiguousarray(colours)
    image = Image.fromarray(rgba)
    below = Image.new("RGBA", image.size, chosen)
    return np.asarray(Image.alpha_composite(below, image).convert("RGB"))


def laid(rgba: Pixels) -> Pixels:
    """A whole picture on the ground that shows it."""
    return on(ground([rgba]), rgba)
