"""What the tensor process answers to `near_copies`: pictures that are the same but for their file.

Embeddings say which pairs may be; small grey versions of the pictures decide, as what is alike to a
network (two cells, two shirts) is not the same picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from app.core.backbones import Block
from app.core.errors import HeadstartError
from worker.ml.assess.near_copies import ALIKE
from worker.ml.images.pixel_scale import PixelScale
from worker.ml.images.views import decode_to

SAME = 0.985
"""Correlation of two pictures of 32 x 32 greys from which they are one: encoded or scaled anew, a
little brighter or softer. Crops and turns are not found by it."""
SIDE = 32
MOST_PAIRS = 2000
_AT_ONCE = 512
Picture = Callable[[int], bytes]
Fingerprint = NDArray[np.float32]


def near_copies(
    rows: Tensor, picture: Picture, *, last: Block, scale: PixelScale | None
) -> list[tuple[int, int]]:
    """Pairs of places in `rows` [n, D], the first below the second, that show one picture."""
    pairs = _alike(normalize(rows[:, last.start : last.stop].float(), dim=1))
    places = {place for pair in pairs for place in pair}
    prints = {place: _fingerprint(picture(place), scale) for place in sorted(places)}
    return [(one, other) for one, other in pairs if _same(prints[one], prints[other])]


def _alike(unit: Tensor) -> Sequence[tuple[int, int]]:
    """The pairs of the greatest cosines from `ALIKE` on."""
    found: list[tuple[float, int, int]] = []
    for start in range(0, len(unit), _AT_ONCE):
        cosines = (unit[start : start + _AT_ONCE] @ unit.T).triu(start + 1)
        some = (cosines >= ALIKE).nonzero()
        values = cosines[some[:, 0], some[:, 1]]
        best = values.topk(min(MOST_PAIRS, len(values))).indices
        pairs = zip(values[best].tolist(), some[best].tolist(), strict=True)
        found += [(value, one + start, other) for value, (one, other) in pairs]
    found.sort(key=lambda one: (-one[0], *one[1:]))
    return [(one, other) for _, one, other in found[:MOST_PAIRS]]


def _fingerprint(data: bytes, scale: PixelScale | None) -> Fingerprint | None:
    """[32 · 32] greys of mean 0 and length 1; None where there is nothing to compare."""
    try:
        grey = decode_to(data, "squish", SIDE, scale=scale).astype(np.float32).mean(2).reshape(-1)
    except HeadstartError:
        return None
    grey -= grey.mean()
    length = float(np.linalg.norm(grey))
    return grey / length if length > SIDE else None


def _same(one: Fingerprint | None, other: Fingerprint | None) -> bool:
    return one is not None and other is not None and float(one @ other) >= SAME
