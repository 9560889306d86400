"""Pictures of nothing in particular: what generic statistics are estimated on.

Crops of two photographs that scikit-learn ships (china.jpg, flower.jpg, both CC BY 2.0) and drawn
textures, shapes and strokes. Measured as good as or better than real sets of other domains.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

SIDE = 224

Random = np.random.Generator


def pictures(count: int, seed: int) -> Iterator[Image.Image]:
    """`count` RGB pictures, every other one a crop of a photograph; the same for the same seed."""
    random = np.random.default_rng(seed)
    photographs = _photographs()
    drawers = (_texture, _leaves, _strokes, _things)
    for number in range(count):
        if number % 2:
            yield _crop(random, photographs[number // 2 % len(photographs)])
        else:
            yield _weathered(random, drawers[number // 2 % len(drawers)](random))


def _photographs() -> list[Image.Image]:
    from sklearn.datasets import load_sample_images

    return [Image.fromarray(pixels) for pixels in load_sample_images().images]


def _crop(random: Random, photograph: Image.Image) -> Image.Image:
    """A square of any size from 48 pixels up, with other colours, brightness and contrast."""
    short = min(photograph.size)
    side = round(math.exp(random.uniform(math.log(48), math.log(short))))
    left, top = (int(random.integers(0, length - side + 1)) for length in photograph.size)
    crop = photograph.crop((left, top, left + side, top + side))
    crop = crop.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    if random.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for change, low, high in (
        (ImageEnhance.Color, 0.0, 1.5),
        (ImageEnhance.Brightness, 0.5, 1.5),
        (ImageEnhance.Contrast, 0.5, 1.8),
    ):
        if random.random() < 0.5:
            crop = change(crop).enhance(random.uniform(low, high))
    return crop


def _weathered(random: Random, picture: Image.Image) -> Image.Image:
    """Sometimes blurred, sometimes grey."""
    chance = random.random()
    if chance < 0.3:
        return picture.filter(ImageFilter.GaussianBlur(random.uniform(0, 3)))
    return picture.convert("L").convert("RGB") if chance < 0.4 else picture


def _colour(random: Random) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in random.integers(0, 256, 3))
    if random.random() < 0.4:
        red = green = blue = (red + green + blue) // 3
    return red, green, blue


def _noise(random: Random, fall: float, channels: int) -> NDArray[np.float64]:
    """Unit-variance noise [side, side, channels] whose spectrum falls as frequency^-fall."""
    frequency = np.fft.fftfreq(SIDE)
    radius = np.hypot(frequency[:, None], frequency[None])
    radius[0, 0] = 1 / SIDE
    white = random.standard_normal((channels, SIDE, SIDE))
    planes = np.fft.ifft2(np.fft.fft2(white) / radius**fall).real
    planes -= planes.mean((1, 2), keepdims=True)
    noise: NDArray[np.float64] = planes / planes.std((1, 2), keepdims=True)
    return noise.transpose(1, 2, 0)


def _texture(random: Random) -> Image.Image:
    """A surface, from nearly white noise to clouds, grey or in related colours."""
    fall = random.uniform(0.5, 2.2)
    if random.random() < 0.5:
        mixing = np.eye(3) * random.uniform(0.2, 1) + random.uniform(0, 0.8)
        relief = _noise(random, fall, 3) @ mixing
    else:
        relief = _noise(random, fall, 1).repeat(3, axis=2)
    pixels = np.array(_colour(random)) + relief * random.uniform(10, 60)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _ground(random: Random) -> Image.Image:
    return (
        _texture(random)
        if random.random() < 0.5
        else Image.new("RGB", (SIDE, SIDE), _colour(random))
    )


def _leaves(random: Random) -> Image.Image:
    """Dead leaves: shapes over shapes, their sizes with a heavy tail as in nature."""
    picture = _ground(random)
    draw = ImageDraw.Draw(picture)
    for _ in range(int(random.integers(5, 200))):
        _leaf(random, draw, radius=min(100.0, 3 * random.pareto(1.2) + 3))
    return picture


def _leaf(random: Random, draw: ImageDraw.ImageDraw, *, radius: float) -> None:
    x, y = random.uniform(0, SIDE, 2)
    flat = radius * random.uniform(0.3, 1)
    box = (x - radius, y - flat, x + radius, y + flat)
    kind = random.integers(3)
    if kind == 0:
        draw.ellipse(box, fill=_colour(random))
    elif kind == 1:
        draw.rectangle(box, fill=_colour(random))
    else:
        around = random.uniform(-radius, radius, (int(random.integers(3, 7)), 2))
        draw.polygon([(x + a, y + b) for a, b in around.tolist()], fill=_colour(random))


def _strokes(random: Random) -> Image.Image:
    """Lines, scratches and scribbles."""
    picture = _ground(random)
    draw = ImageDraw.Draw(picture)
    ink = _colour(random)
    for _ in range(int(random.integers(1, 8))):
        steps = random.normal(0, 25, (int(random.integers(3, 12)), 2))
        path = np.cumsum(steps, 0) + random.uniform(60, 160, 2)
        colour = ink if random.random() < 0.7 else _colour(random)
        width = int(random.integers(1, 9))
        draw.line([(a, b) for a, b in path.tolist()], fill=colour, width=width, joint="curve")
    return picture


def _things(random: Random) -> Image.Image:
    """One to three textured blobs on a ground."""
    picture = _ground(random)
    for _ in range(int(random.integers(1, 4))):
        mask = Image.new("L", (SIDE, SIDE))
        ImageDraw.Draw(mask).polygon(_outline(random), fill=255)
        soft = mask.filter(ImageFilter.GaussianBlur(random.uniform(0, 2)))
        picture.paste(_texture(random), (0, 0), soft)
    return picture


def _outline(random: Random) -> list[tuple[float, float]]:
    """A closed smooth curve: a circle with six random harmonics."""
    angle = np.linspace(0, 2 * np.pi, 60)
    radius = np.ones_like(angle)
    for k in range(1, 7):
        radius += random.normal(0, 0.25 / k) * np.cos(k * angle + random.uniform(0, 2 * np.pi))
    radius *= random.uniform(15, 80)
    x, y = random.uniform(50, SIDE - 50, 2)
    points = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)
    return [(a, b) for a, b in points.tolist()]
