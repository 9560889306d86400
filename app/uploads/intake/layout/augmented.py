"""Copies that were augmented before the upload, told by the names that people and tools give them.

`cat.jpg` beside `cat_rot90.jpg`, `cat-aug-2.jpg`, `flipped_cat.jpg` and `cat - Copy.jpg`; Keras's
`<save_prefix>_<index>_<hash>.jpeg` and Augmentor's `<class>_original_<name>.jpg_<uuid>.jpg`.
`cat (2).jpg` is none: browsers and file managers number different pictures so.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.uploads.intake.layout.roles import LabelledFile
from app.uploads.intake.names import folded

_COPIED = (
    "aug augm augment augmented augmentation augmentations rot rotate rotated rotation deg degree "
    "degrees flip flipped flips hflip vflip hvflip fliplr flipud fliph flipv flipx flipy "
    "mirrored jitter colorjitter transposed"
)
_SURE = frozenset(_COPIED.split())
"""What is said of copies alone, even where the original is not there."""
_CHANGED = (
    "mirror crop cropped randomcrop bright brighter brighten brightened brightness dark darker "
    "darken darkened contrast gamma hue saturation saturated noise noisy gaussian gaussnoise blur "
    "blurred blurry sharp sharpen sharpened shear sheared zoom zoomed shift shifted translate "
    "translated translation scale scaled resized warp warped affine perspective elastic distorted "
    "distortion cutout erased dropout equalized equalize clahe gray grey grayscale greyscale "
    "posterize posterized solarize solarized invert inverted transpose transform transformed copy "
    "kopie copie copia edited enhanced hsv"
)
_WORDS = _SURE | frozenset(_CHANGED.split())
"""What one word at least beside the original's name has to be."""
_BESIDE = (
    "h v x y lr ud tb left right up down top bottom horizontal horizontally horiz vertical "
    "vertically vert both cw ccw clockwise anticlockwise counterclockwise random rand color colour "
    "motion salt pepper angle factor level by and with plus minus in out new version ver no "
    "another of"
)
_FURTHER = frozenset(_BESIDE.split())
"""What may stand beside it, as numbers may."""
_HINT = re.compile("|".join(sorted(_WORDS)))
_TOKEN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_SEPARATORS = " _-.,()+="
_OPENING = " _-.("
"""What an original's name does not end in, as what says how a copy was made begins with it."""
_ENDING = re.compile(r"\.\w{1,5}$")
_KERAS = re.compile(r"(.+)_0_\d{1,7}")
"""Of one picture at a time: its index is 0, and `save_prefix` its name."""
_KERAS_NUMBERED = re.compile(r"([A-Za-z]+_\d+)_\d{1,7}")
"""Of a whole folder: `save_prefix` says what was done, the index to which."""
_AUGMENTOR = re.compile(
    r"(?:.*?_original_)?(.+)\.\w{3,4}_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)


@dataclass(frozen=True, slots=True)
class Families:
    """The pictures that have copies by their names: of each file that belongs to one, by its place,
    what the picture is called. `example` is a copy's name and its original's."""

    of: Mapping[int, str]
    example: tuple[str, str]


def families(items: Sequence[LabelledFile]) -> Families | None:
    """Which files of one label are copies of which picture; None where none are."""
    parents: dict[int, int] = {}
    named: dict[int, str] = {}
    for places in _by_label(items):
        stems = _Stems({at: _stem(items[at].path) for at in places})
        some = {at: up for at in places if (up := stems.original(at)) is not None}
        parents |= some
        named |= _orphans(stems.of, set(some) | set(some.values()), items[places[0]])
    roots = {at: _root(at, parents) for at in {*parents, *parents.values()}}
    of = {at: _stem(items[root].path) for at, root in roots.items()} | named
    if not of:
        return None
    at = min(parents or named)
    first = items[parents[at]].path if parents else named[at]
    return Families(of, (_name(items[at].path), _name(first)))


class _Stems:
    """The paths without endings of the files of one label, by their places."""

    def __init__(self, of: Mapping[int, str]) -> None:
        self.of = of
        self._exact = {folded(stem): at for at, stem in reversed(list(of.items()))}
        self._bare: dict[str, list[int]] = defaultdict(list)
        for at, stem in of.items():
            self._bare[folded(_name(stem))].append(at)

    def original(self, at: int) -> int | None:
        """The picture that the one at `at` is a copy of by its name: in its folder, or the only one
        of its name in another."""
        folder, slash, name = self.of[at].rpartition("/")
        for stem in _originals(name):
            found = self._exact.get(folded(folder + slash + stem))
            alike = self._bare.get(folded(stem), [])
            found = alike[0] if found is None and len(alike) == 1 else found
            if found is not None and found != at:
                return found
        return None


def _originals(name: str) -> Iterator[str]:
    """What the original of a copy of this name may be called, the longest first."""
    if found := _AUGMENTOR.fullmatch(name) or _KERAS.fullmatch(name):
        yield found[1]
    if not _HINT.search(name.lower()):
        return
    cuts = [at for at in range(1, len(name)) if name[at] in _SEPARATORS]
    for at in reversed(cuts):
        if name[at - 1] not in _OPENING and _says(name[at:], _WORDS):
            yield name[:at]
    for at in cuts if name[0].isalpha() else ():
        if name[at + 1 :] and _says(name[: at + 1], _WORDS):
            yield name[at + 1 :]


def _says(rest: str, words: frozenset[str]) -> bool:
    """Whether what is beside an original's name says how a copy was made, and nothing else."""
    tokens = [token.lower() for token in _TOKEN.findall(rest)]
    if "".join(_TOKEN.split(rest)).strip(_SEPARATORS):
        return False
    spelled = [token for token in tokens if not token.isdigit()]
    return any(one in words for one in spelled) and all(
        one in _WORDS or one in _FURTHER for one in spelled
    )


def _orphans(stems: Mapping[int, str], known: set[int], like: LabelledFile) -> dict[int, str]:
    """Copies of one picture that is not there itself, by place. What would be more than half of
    its class is not: then it is the class that is called so."""
    if any(_says_some(label) for label in (like.label, *(like.labels or ()))):
        return {}
    found = {at: base for at, stem in stems.items() if at not in known and (base := _base(stem))}
    counts = Counter(found.values())
    return {at: base for at, base in found.items() if 1 < counts[base] <= len(stems) / 2}


def _says_some(label: str) -> bool:
    """Whether a label has a word that copies are told by."""
    return any(token.lower() in _WORDS for token in _TOKEN.findall(label))


def _base(stem: str) -> str | None:
    """What a copy's path says that its original is called, where it is sure to be a copy."""
    folder, slash, name = stem.rpartition("/")
    if found := _AUGMENTOR.fullmatch(name):
        return folder + slash + found[1]
    numbered = _KERAS_NUMBERED.fullmatch(name)
    if numbered and numbered[1].rpartition("_")[0].lower() in _SURE:
        return folder + slash + numbered[1]
    if not _HINT.search(name.lower()):
        return None
    cuts = [at for at in range(1, len(name)) if name[at] in _SEPARATORS]
    bases = (name[:at] for at in cuts if _says(name[at:], _SURE))
    return next((folder + slash + base for base in bases), None)


def _root(at: int, parents: Mapping[int, int]) -> int:
    """The first original: a copy may be one of a copy, and its name is longer than that one's."""
    while at in parents:
        at = parents[at]
    return at


def _by_label(items: Sequence[LabelledFile]) -> Iterator[list[int]]:
    places: dict[tuple[str, tuple[str, ...] | None], list[int]] = defaultdict(list)
    for at, item in enumerate(items):
        places[item.label, item.labels].append(at)
    yield from places.values()


def _stem(path: str) -> str:
    return _ENDING.sub("", path)


def _name(path: str) -> str:
    return path.rpartition("/")[2]
