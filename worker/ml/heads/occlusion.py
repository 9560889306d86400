"""Where a prediction comes from: how far its probability falls when a part of it is hidden.

Occlusion sensitivity (Zeiler & Fergus, 2014, https://arxiv.org/abs/1311.2901); it needs nothing of
the head but its answers, so it holds for every head.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CELLS = 7
"""The map's resolution; a window hides four cells."""
WINDOWS = (CELLS - 1) ** 2

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def occluded(pixels: Pixels) -> list[Pixels]:
    """[s, s, 3] with each window in turn (row by row) painted in the picture's mean colour."""
    mean = pixels.mean((0, 1)).round().astype(np.uint8)
    covered = []
    for top, bottom, left, right in _windows(len(pixels)):
        copy = pixels.copy()
        copy[top:bottom, left:right] = mean
        covered.append(copy)
    return covered


def saliency(whole: float, hidden: Floats) -> Floats:
    """A map [CELLS, CELLS] in 0..1 from a class's probability and those with a window hidden.

    A cell's value is the mean loss over the windows that hide it; gains count as nothing.
    """
    loss = np.zeros((CELLS, CELLS), np.float32)
    seen = np.zeros((CELLS, CELLS), np.float32)
    drops = (whole - hidden).reshape(CELLS - 1, CELLS - 1)
    for row in (0, 1):
        for column in (0, 1):
            place = slice(row, row + CELLS - 1), slice(column, column + CELLS - 1)
            loss[place] += drops
            seen[place] += 1
    kept: Floats = np.maximum(loss / seen, 0)
    peak = float(kept.max())
    return kept / peak if peak > 0 else kept


def png(values: Floats, size: int) -> bytes:
    """A red layer [size, size] as opaque as its value: lay it over the picture, stretched."""
    grey = Image.fromarray((values * 255).astype(np.uint8))
    grey = grey.resize((size, size), Image.Resampling.BICUBIC)
    layer = Image.new("RGBA", (size, size), (255, 0, 0, 0))
    layer.putalpha(grey.point(lambda value: round(value * 0.8)))
    out = io.BytesIO()
    layer.save(out, "png", compress_level=3)
    return out.getvalue()


def _windows(size: int) -> Iterator[tuple[int, int, int, int]]:
    edges = [round(size * cell / CELLS) for cell in range(CELLS + 1)]
    for row in range(CELLS - 1):
        for column in range(CELLS - 1):
            yield edges[row], edges[row + 2], edges[column], edges[column + 2]
