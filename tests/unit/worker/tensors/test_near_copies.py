"""Near copies: one picture encoded or scaled anew is found, another that a network likes is not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from tests.unit.worker.ml.drawn_images import encoded, picture
from worker.tensors import near_copies as looked
from worker.tensors.near_copies import Fingerprints

RANDOM = np.random.default_rng(0)


def scene() -> Image.Image:
    """A picture of smooth blotches, each another."""
    coarse = RANDOM.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC)


def near_copies(*files: bytes) -> list[tuple[int, int]]:
    names = [str(at) for at in range(len(files))]
    prints = Fingerprints().of(names, files.__getitem__, scale=None, threads=2)
    return sorted(looked.near_copies(prints))


def test_copies_are_found_and_lookalikes_are_not() -> None:
    one, other = scene(), scene()
    files = [
        encoded(one, "PNG"),
        encoded(one, "JPEG", quality=60),
        encoded(ImageEnhance.Brightness(one.resize((100, 75))).enhance(0.9), "JPEG"),
        encoded(other, "PNG"),
        encoded(picture(), "PNG"),
    ]
    assert near_copies(*files) == [(0, 1), (0, 2), (1, 2)]


@pytest.mark.parametrize("size", [(640, 480), (80, 60), (40, 30), (48, 48)])
def test_a_copy_of_any_size_is_found(size: tuple[int, int]) -> None:
    scenes = [scene() for _ in range(24)]
    files = [encoded(one, "PNG") for one in scenes]
    files += [encoded(one.resize(size), "JPEG", quality=85) for one in scenes]
    assert near_copies(*files) == [(at, 24 + at) for at in range(24)]


def test_what_a_fixed_camera_sees_is_told_apart() -> None:
    background, files = np.asarray(scene()).astype(int), []
    for _ in range(30):
        seen = background + np.asarray(scene()).astype(int) // 6 - 20
        files.append(encoded(np.clip(seen, 0, 255).astype(np.uint8), "PNG"))
    again = Image.open(io.BytesIO(files[3])).resize((80, 60))
    assert near_copies(*files, encoded(again, "PNG")) == [(3, 30)]


def test_blank_and_damaged_pictures_are_no_copies() -> None:
    blank = encoded(np.full((30, 30, 3), 9, np.uint8), "PNG")
    files = [blank, encoded(np.full((30, 30, 3), 9, np.uint8), "BMP"), b"no picture"]
    assert near_copies(*files) == []


def test_what_was_looked_at_is_not_read_again() -> None:
    files, prints, read = [encoded(scene(), "PNG")], Fingerprints(), []
    for _ in range(2):
        prints.of(["a"], lambda at: read.append(at) or files[at], scale=None, threads=1)  # type: ignore[func-returns-value]
    assert read == [0]
