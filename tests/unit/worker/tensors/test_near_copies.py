"""Near copies: one picture encoded or scaled anew is found, another that a network likes is not."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageEnhance

from app.core.backbones import Block
from tests.unit.worker.ml.drawn_images import encoded, picture
from worker.tensors.near_copies import near_copies

LAST = Block(level=0, statistic="mean", start=0, stop=6)
RANDOM = np.random.default_rng(0)


def scene() -> Image.Image:
    """A picture of smooth blotches, each another."""
    coarse = RANDOM.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC)


def test_copies_are_found_and_lookalikes_are_not() -> None:
    one, other = scene(), scene()
    files = [
        encoded(one, "PNG"),
        encoded(one, "JPEG", quality=60),
        encoded(ImageEnhance.Brightness(one.resize((100, 75))).enhance(0.9), "JPEG"),
        encoded(other, "PNG"),
        encoded(picture(), "PNG"),
    ]
    rows = torch.ones(5, 6)  # a network to which all of them are alike
    rows[4] = torch.tensor([1.0, -1, 1, -1, 1, -1])
    found = near_copies(rows, files.__getitem__, last=LAST, scale=None)
    assert sorted(found) == [(0, 1), (0, 2), (1, 2)]


def test_blank_and_damaged_pictures_are_no_copies() -> None:
    blank = encoded(np.full((30, 30, 3), 9, np.uint8), "PNG")
    files = [blank, encoded(np.full((30, 30, 3), 9, np.uint8), "BMP"), b"no picture"]
    assert near_copies(torch.ones(3, 6), files.__getitem__, last=LAST, scale=None) == []
