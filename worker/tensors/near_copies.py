"""What the tensor process answers to `near_copies`: pictures that are the same but for their file.

Small grey versions of the pictures decide, whatever a network makes of them: to one a picture
smaller than its input is unlike the larger original, and two cells or two shirts are alike.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import torch
from torch import Tensor

from app.core.errors import HeadstartError
from worker.ml.images.pixel_scale import PixelScale
from worker.ml.images.views import decode_to

SAME = 0.97
"""Correlation of two pictures of 32 x 32 greys from which they are one: encoded or scaled anew, a
little brighter or softer. Of 1,849 test pictures of five sets no two come near it; crops and turns
do not either.
"""
MUCH_NEARER = 0.25
"""Where all pictures are alike, as a fixed camera's are, a copy is nearer to its original than so
many times what nine tenths of the pairs are at most apart.
"""
MANY = 20
"""Pictures of which that can be told."""
SIDE = 32
MOST_PAIRS = 50_000
KEPT = 20_000
"""Fingerprints, 2 KB each."""
_READ = 64
_AT_ONCE = 512
Picture = Callable[[int], bytes]


def near_copies(prints: Sequence[Tensor | None]) -> list[tuple[int, int]]:
    """Pairs of places in `prints`, the first below the second, that show one picture."""
    places = [at for at, one in enumerate(prints) if one is not None]
    if len(places) < 2:
        return []
    unit = torch.stack([one for one in prints if one is not None]).float()
    pairs = _alike(unit, _least(unit))
    return [(places[one], places[other]) for one, other in pairs]


class Fingerprints:
    """Of pictures, by content and scale: a job asks again for those of its version."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, PixelScale | None], Tensor | None] = OrderedDict()

    def of(
        self, names: Sequence[str], picture: Picture, *, scale: PixelScale | None, threads: int
    ) -> list[Tensor | None]:
        """[32 · 32] greys of mean 0 and length 1, fp16; None where there is nothing to compare."""
        new = [at for at, name in enumerate(names) if (name, scale) not in self._known]
        with ThreadPoolExecutor(max(1, threads)) as pool:
            for start in range(0, len(new), _READ):
                some = new[start : start + _READ]
                made = pool.map(_fingerprint, map(picture, some), repeat(scale))
                self._known |= {(names[at], scale): one for at, one in zip(some, made, strict=True)}
        found = [self._known[name, scale] for name in names]
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return found


def _fingerprint(data: bytes, scale: PixelScale | None) -> Tensor | None:
    try:
        pixels = torch.from_numpy(decode_to(data, "squish", SIDE, scale=scale))
    except HeadstartError:
        return None
    grey = pixels.float().mean(2).flatten()
    grey -= grey.mean()
    length = float(grey.norm())
    return (grey / length).half() if length > SIDE else None


def _least(unit: Tensor) -> float:
    """The correlation from which two of these pictures are one."""
    if len(unit) < MANY:
        return SAME
    some = unit[:: max(1, len(unit) // _AT_ONCE)]
    one, other = torch.triu_indices(len(some), len(some), 1)
    apart = 1 - (some @ some.T)[one, other].quantile(0.1)
    return max(SAME, 1 - MUCH_NEARER * float(apart))


def _alike(unit: Tensor, least: float) -> list[tuple[int, int]]:
    """The pairs of the greatest correlations from `least` on."""
    found: list[tuple[int, int]] = []
    for start in range(0, len(unit), _AT_ONCE):
        likeness = (unit[start : start + _AT_ONCE] @ unit.T).triu(start + 1)
        some = (likeness >= least).nonzero()[: MOST_PAIRS - len(found)]
        found += [(one + start, other) for one, other in some.tolist()]
    return found
