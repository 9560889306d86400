"""Sets whose mirror image is something else: digits, letters, arrows and sides, as embeddings.

The digits are scans (app/cli/digits.md); the others are drawn here, each picture anew: turned a
little, larger or smaller, of other colours, on uneven ground.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont

import app.cli
from benchmarks.quality import image_sets
from benchmarks.quality.image_sets import ImageSet, Part
from worker.ml.engines.stream import embed_stream

SIDE = 160
EACH = {"train": 30, "test": 40}
"""Pictures of a class that are drawn."""
SCANNED = 40
"""Scans of a digit to train on; the others judge. They come writer by writer, so that those who
judge are others than those who train: intervals for inputs like the examples need not hold there
(writers.json).
"""

LETTERS = "abcdefghijklmnopqrstuvwxyz"
HEADINGS = ("left", "right", "up", "down")
SIDES = ("left", "right")
FLAWS = ("none", "spot", "scratch", "crack")


def load(name: str) -> ImageSet:
    """Both splits: of the training one every view, of the other what a prediction reads."""
    return ImageSet(name, part(name, "train", image_sets.VIEWS), part(name, "test", ("squish",)))


def part(name: str, split: str, views: tuple[str, ...]) -> Part:
    """One split with these views."""
    paths = {view: _path(name, split, view) for view in ("labels", *views)}
    if not all(path.exists() for path in paths.values()):
        _make(sorted(SETS[name](split), key=lambda one: one[0]), paths)
    kept = {view: np.load(path) for view, path in paths.items()}
    classes, labels = np.unique(kept.pop("labels"), return_inverse=True)
    features = {view: torch.from_numpy(rows) for view, rows in kept.items()}
    return Part(features, torch.from_numpy(labels), tuple(classes.tolist()))


def _path(name: str, split: str, view: str) -> Path:
    return image_sets.CACHE / f"{image_sets.BACKBONE}.{name}.{split}.{view}.npy"


def _make(drawn: list[tuple[str, bytes]], paths: Mapping[str, Path]) -> None:
    """Write labels and every view of pictures that is not there."""
    image_sets.CACHE.mkdir(parents=True, exist_ok=True)
    for view, path in paths.items():
        if view == "labels":
            np.save(path, np.array([label for label, _ in drawn]))
        elif not path.exists():
            np.save(path, np.stack(list(_rows([picture for _, picture in drawn], view))))


def _rows(pictures: list[bytes], view: str) -> Iterator[np.ndarray]:
    for _, row in embed_stream(image_sets.engine(), iter(pictures), view=view):
        if isinstance(row, Exception):
            raise row
        yield row.astype(np.float16)


def _digits(split: str) -> Iterator[tuple[str, bytes]]:
    seen = dict.fromkeys(range(10), 0)
    with gzip.open(Path(app.cli.__path__[0]) / "digits.csv.gz", "rt") as lines:
        for line in lines:
            *grey, digit = map(int, line.split(","))
            seen[digit] += 1
            if (seen[digit] <= SCANNED) == (split == "train"):
                scan = Image.frombytes("L", (8, 8), bytes(value * 255 // 16 for value in grey))
                yield str(digit), _png(scan)


def _letters(split: str) -> Iterator[tuple[str, bytes]]:
    yield from _drawn(LETTERS, split, _letter)


def _letter(letter: str, random: Generator) -> Image.Image:
    ground, ink = _ground(random), _ink(random)
    mask = Image.new("L", (SIDE, SIDE))
    font = ImageFont.load_default(int(random.integers(60, 110)))
    ImageDraw.Draw(mask).text((SIDE / 2, SIDE / 2), letter, 255, font, anchor="mm")
    ground.paste(ink, mask=_turned(mask, random))
    return ground


def _arrows(split: str) -> Iterator[tuple[str, bytes]]:
    yield from _drawn(HEADINGS, split, _arrow)


def _arrow(heading: str, random: Generator) -> Image.Image:
    ground, ink, mask = _ground(random), _ink(random), Image.new("L", (SIDE, SIDE))
    pen, wide, long = (
        ImageDraw.Draw(mask),
        int(random.integers(4, 16)),
        int(random.integers(30, 60)),
    )
    middle = SIDE // 2
    tip = int(random.integers(14, 34))
    pen.line((middle - long, middle, middle + long - tip, middle), 255, wide)
    end = middle + long
    pen.polygon(((end, middle), (end - tip, middle - tip), (end - tip, middle + tip)), 255)
    turns = {"right": 0, "up": 90, "left": 180, "down": 270}[heading]
    ground.paste(ink, mask=_turned(mask.rotate(turns), random))
    return ground


def _sides(split: str) -> Iterator[tuple[str, bytes]]:
    yield from _drawn(SIDES, split, _side)


def _side(side: str, random: Generator) -> Image.Image:
    """A blot on the left or right of a body that is much the same on both."""
    ground, pen_at = _ground(random), SIDE // 4 if side == "left" else 3 * SIDE // 4
    pen, body, blot = ImageDraw.Draw(ground), _ink(random), _ink(random)
    for place in (SIDE // 4, 3 * SIDE // 4):
        pen.ellipse((place - 32, 20, place + 32, SIDE - 20), body)
    high, size = int(random.integers(50, SIDE - 50)), int(random.integers(8, 20))
    pen.ellipse((pen_at - size, high - size, pen_at + size, high + size), blot)
    return ground


def _strips(split: str) -> Iterator[tuple[str, bytes]]:
    yield from _drawn(FLAWS, split, _strip)


def _strip(flaw: str, random: Generator) -> Image.Image:
    """A long, thin surface with a flaw somewhere."""
    ground = _ground(random).resize((8 * SIDE, SIDE))
    pen, ink = ImageDraw.Draw(ground), _ink(random)
    at, high = int(random.integers(SIDE, 7 * SIDE)), int(random.integers(30, SIDE - 30))
    size = int(random.integers(8, 24))
    if flaw == "spot":
        pen.ellipse((at - size, high - size, at + size, high + size), ink)
    elif flaw == "scratch":
        pen.line((at - 5 * size, high, at + 5 * size, high + size), ink, 5)
    elif flaw == "crack":
        points = [
            (at + step * size // 2, high + int(random.integers(-25, 26))) for step in range(8)
        ]
        pen.line(points, ink, 4)
    return ground


def _drawn(
    labels: str | tuple[str, ...], split: str, draw: Callable[[str, Generator], Image.Image]
) -> Iterator[tuple[str, bytes]]:
    random = np.random.default_rng(0 if split == "train" else 1)
    for label in labels:
        for _ in range(EACH[split]):
            yield label, _png(draw(label, random))


def _ground(random: Generator) -> Image.Image:
    """Two shades that run into each other, and grain."""
    coarse = random.integers(120, 256, (2, 2, 3)).astype(np.uint8)
    smooth = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    grain = random.normal(0, 8, (SIDE, SIDE, 3))
    return Image.fromarray((np.asarray(smooth) + grain).clip(0, 255).astype(np.uint8))


def _ink(random: Generator) -> tuple[int, int, int]:
    red, green, blue = random.integers(0, 110, 3).tolist()
    return red, green, blue


def _turned(mask: Image.Image, random: Generator) -> Image.Image:
    across, down = random.integers(-16, 17, 2).tolist()
    return mask.rotate(float(random.uniform(-15, 15)), translate=(across, down))


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "png")
    return out.getvalue()


SETS = {
    "digits": _digits,
    "letters": _letters,
    "arrows": _arrows,
    "sides": _sides,
    "strips": _strips,
}
