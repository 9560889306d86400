"""One scale for the deep pictures of a dataset: the same value is the same grey in all of them.

Scaled by its own greatest value, a dim picture becomes a bright one, and one hot pixel darkens the
rest; so black and white are decided once, from what most of a dataset's training pictures hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from app.core import image_header
from app.core.errors import HeadstartError
from worker.ml.images import apart, deep

MOST_SAMPLED = 2_000_000
"""Values in all that a scale is decided from, spread evenly over the pictures and their rows."""
MOST_OF_ONE, LEAST_OF_ONE = 4096, 64
AT_ONCE = 8
"""Pictures that a thread has before it."""
TAIL = 0.001
"""The share of values at either end that may lie outside: hot and dead pixels."""
NARROW = 1 / 8
"""A band of less than this share of what its bits could say is stretched: it is on an offset."""
MARGIN = 0.05
"""Of a stretched band, left free at either end for pictures that are yet to come."""
EMPTY_BYTES, BYTES_A_PIXEL = 1000, 0.03
"""A picture of one colour is no larger as a file; what is larger need not be looked at."""

UNPACKED = ("bmp", "tiff", "pnm", "dicom")
"""Their size says nothing."""


@dataclass(frozen=True, slots=True)
class PixelScale:
    """The values that are black and white."""

    low: float
    high: float

    @classmethod
    def from_json(cls, told: Mapping[str, float] | None) -> PixelScale | None:
        """Of `{low, high}`; None of nothing."""
        return cls(low=float(told["low"]), high=float(told["high"])) if told else None


@dataclass(frozen=True)
class Inspected:
    """What some pictures are like: their scale, if any is deep, and which are of one colour."""

    scale: PixelScale | None
    blank: Sequence[int]


def inspect(blobs: Iterable[bytes], taught: Sequence[bool], *, threads: int) -> Inspected:
    """Look at pictures, of which those `taught` are trained on and decide the scale.

    What cannot be decoded is left to who will embed it. A few are held at a time.
    """
    each = min(MOST_OF_ONE, max(LEAST_OF_ONE, MOST_SAMPLED // max(1, sum(taught))))
    source, looked = iter(blobs), list[tuple[NDArray[np.generic] | None, bool]]()
    with ThreadPoolExecutor(threads) as pool:
        while some := list(islice(source, AT_ONCE * threads)):
            looked += pool.map(lambda data: _look(data, each), some)
    deeps = [(values, is_taught) for (values, _), is_taught in zip(looked, taught, strict=True)]
    sampled = [values for values, is_taught in deeps if values is not None and is_taught]
    others = [values for values, _ in deeps if values is not None]
    return Inspected(
        scale=of_samples(sampled or others) if others else None,
        blank=[place for place, (_, blank) in enumerate(looked) if blank],
    )


def of_samples(sampled: Sequence[NDArray[np.generic]]) -> PixelScale:
    """The scale of pictures from some values of each, all finite."""
    values = np.concatenate([one.astype(np.float64) for one in sampled])
    low, high = (float(end) for end in np.quantile(values, [TAIL, 1 - TAIL]))
    whole = all(one.dtype.kind in "ui" for one in sampled)
    black, white = deep.span(np.dtype("u2" if whole else "f8"), low, high)
    if high - low > NARROW * (white - black):
        return PixelScale(black, white)
    spare = MARGIN * ((high - low) or 1.0)
    return PixelScale(low - spare, high + spare)


def _look(data: bytes, most: int) -> tuple[NDArray[np.generic] | None, bool]:
    """Some values of a deep picture, else None; and whether a picture is of one colour."""
    with suppress(HeadstartError):
        header = image_header.inspect(data)
        samples = apart.deep_samples(data, header)
        if samples is not None:
            flat = deep.finite(samples.values).reshape(-1)
            some = None if samples.ends else flat[:: max(1, flat.size // most)].copy()
            return some, bool((flat == flat[0]).all())
        most_bytes = EMPTY_BYTES + BYTES_A_PIXEL * header.width * header.height
        if len(data) < most_bytes or header.format in UNPACKED:
            pixels = apart.decode(data, header, at_least=None)
            return None, bool((pixels == pixels[0, 0]).all())
    return None, False
