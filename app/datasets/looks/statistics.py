"""What a version's examples are like: counted from its manifest, and from examples' first bytes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from app.core import image_header
from app.core.errors import HeadstartError
from app.core.image_header import ImageHeader
from app.core.manifest import Example
from app.core.texts import scripts
from app.datasets.looks.schemas import (
    ImageStatistics,
    SizeCount,
    Spread,
    TextStatistics,
)

MOST_READ = 10_000
"""Examples whose bytes are looked at."""
_HEAD = 256 * 1024
"""Bytes in which all but a few images say their size."""
_SIZES = 10
OpenPack = Callable[[str], Path]


def spread(values: Iterable[float]) -> Spread | None:
    """None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    at = {name: ordered[round(share * (len(ordered) - 1))] for name, share in _SHARES.items()}
    return Spread(**at)


_SHARES = {"min": 0.0, "p5": 0.05, "median": 0.5, "p95": 0.95, "max": 1.0}


def evenly(examples: Sequence[Example], most: int) -> list[Example]:
    """At most `most` of them, from the first to the last."""
    if len(examples) <= most:
        return list(examples)
    return [examples[at * len(examples) // most] for at in range(most)]


def of_images(examples: Sequence[Example], open_pack: OpenPack) -> ImageStatistics:
    """Formats and sizes by the headers; what brightness is, a predictor says."""
    headers: list[ImageHeader] = []
    for head in _heads(examples, open_pack, most=_HEAD):
        with suppress(HeadstartError):
            headers.append(image_header.measured(head))
    sizes = Counter((header.width, header.height) for header in headers)
    return ImageStatistics(
        formats=dict(Counter(header.format for header in headers).most_common()),
        width=spread(header.width for header in headers),
        height=spread(header.height for header in headers),
        sizes=[
            SizeCount(width=width, height=height, count=count)
            for (width, height), count in sizes.most_common(_SIZES)
        ],
        brightness=None,
    )


def of_texts(examples: Sequence[Example], open_pack: OpenPack) -> TextStatistics:
    """Lengths, and the scripts that texts are in."""
    texts = [head.decode(errors="replace") for head in _heads(examples, open_pack)]
    return TextStatistics(
        characters=spread(len(text) for text in texts),
        words=spread(len(text.split()) for text in texts),
        scripts=dict(scripts(text[:2000] for text in texts).most_common()),
    )


def _heads(
    examples: Sequence[Example], open_pack: OpenPack, *, most: int | None = None
) -> Iterable[bytes]:
    """The first bytes of each, pack by pack."""
    by_pack: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        by_pack[example.pack].append(example)
    for pack, some in by_pack.items():
        with open_pack(pack).open("rb") as file:
            for example in sorted(some, key=lambda one: one.offset):
                file.seek(example.offset)
                yield file.read(example.length if most is None else min(most, example.length))


OF: Mapping[str, Callable[[Sequence[Example], OpenPack], ImageStatistics | TextStatistics]] = {
    "image": of_images,
    "text": of_texts,
}
