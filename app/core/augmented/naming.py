"""How copies of a picture are called that were augmented before the upload."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_COPIED = (
    "aug augm augment augmented augmentation augmentations rot rotate rotated rotation deg degree "
    "degrees flip flipped flips hflip vflip hvflip fliplr flipud fliph flipv flipx flipy "
    "mirrored jitter colorjitter transposed"
)
SURE = frozenset(_COPIED.split())
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
WORDS = SURE | frozenset(_CHANGED.split())
"""What one word at least beside the original's name has to be."""
ANY_MONTH = WORDS - {"aug"}
"""Those that are no month."""
_BESIDE = (
    "h v x y lr ud tb left right up down top bottom horizontal horizontally horiz vertical "
    "vertically vert both cw ccw clockwise anticlockwise counterclockwise random rand color colour "
    "motion salt pepper angle factor level by and with plus minus in out new version ver no "
    "another of"
)
_DOUBLES = frozenset({"copy", "kopie", "copie", "copia"})
"""What file managers write, beside the original's name."""
_FURTHER = frozenset(_BESIDE.split())
"""What may stand beside it, as numbers may."""
_HINT = re.compile("|".join(sorted(WORDS)))
_TOKEN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_SEPARATORS = " _-.,()+="
_OPENING = " _-.("
"""What an original's name does not end in, as what says how a copy was made begins with it."""
_ENDING = re.compile(r"\.\w{1,5}$")
_KERAS = re.compile(r"(.+)_0_[1-9]\d{2,6}")
"""Of one picture at a time: its index is 0, `save_prefix` its name, and what follows is random.
Smaller numbers are more often those of tiles and frames."""
_MONTH = re.compile(r"(?<![a-z])(?:jan|feb|apr|jun|jul|sept?|oct|nov|dec)(?![a-z])")
_DATED = re.compile(r"(?<![a-z])aug[ _.,-]*(?:[0-3]?\d[ _.,-]+)?(?:19|20)\d\d(?!\d)")
_OF_MONTHS = re.compile(r"(?<![a-z])aug(?![a-z])")
_KERAS_NUMBERED = re.compile(r"([A-Za-z]+_\d+)_\d{1,7}")
"""Of a whole folder: `save_prefix` says what was done, the index to which."""
_AUGMENTOR = re.compile(
    r"(?:.*?_original_)?(.+)\.\w{3,4}_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
VERSION = re.compile(r"(.+)\.rf\.[0-9a-zA-Z]{16,64}\.\w+")
"""An export's version of a picture: `<original>_jpg.rf.<hash>.jpg`."""


def are_dated(paths: Sequence[str]) -> bool:
    """Whether `aug` is a month in these names: other months are in others, or a year beside it."""
    names = [name_of(path).lower() for path in paths]
    august = [name for name in names if _OF_MONTHS.search(name)]
    return bool(august) and (
        any(map(_MONTH.search, names))
        or 2 * sum(map(bool, map(_DATED.search, august))) > len(august)
    )


def form_of(rest: str, sure: frozenset[str]) -> str | None:
    """How a copy is called beside its original, whatever the numbers; None where it says of no
    picture what it is of."""
    said = {token.lower() for token in _TOKEN.findall(rest)}
    plain = not rest or said & (sure | _DOUBLES)
    return None if plain else re.sub(r"\d+(?:\.\d+)?", "0", rest.lower())


def originals(name: str, words: frozenset[str]) -> Iterator[tuple[str, str]]:
    """What the original of a copy of this name may be called, the longest first, and what stands
    beside that."""
    if found := _AUGMENTOR.fullmatch(name) or _KERAS.fullmatch(name):
        yield found[1], ""
    if not _HINT.search(name.lower()):
        return
    cuts = [at for at in range(1, len(name)) if name[at] in _SEPARATORS]
    for at in reversed(cuts):
        if name[at - 1] not in _OPENING and _says(name[at:], words):
            yield name[:at], name[at:]
    for at in cuts if name[0].isalpha() else ():
        if name[at + 1 :] and _says(name[: at + 1], words):
            yield name[at + 1 :], name[: at + 1]


def _says(rest: str, words: frozenset[str]) -> bool:
    """Whether what is beside an original's name says how a copy was made, and nothing else."""
    tokens = [token.lower() for token in _TOKEN.findall(rest)]
    if "".join(_TOKEN.split(rest)).strip(_SEPARATORS):
        return False
    spelled = [token for token in tokens if not token.isdigit()]
    return any(one in words for one in spelled) and all(
        one in words or one in ANY_MONTH or one in _FURTHER for one in spelled
    )


def says_some(label: str) -> bool:
    """Whether a label has a word that copies are told by."""
    return any(token.lower() in WORDS for token in _TOKEN.findall(label))


def base_of(stem: str, sure: frozenset[str]) -> str | None:
    """What a copy's path says that its original is called, where it is sure to be a copy: of a
    picture that is numbered, as `black_rot_3` is no copy of `black`."""
    folder, slash, name = stem.rpartition("/")
    if found := _AUGMENTOR.fullmatch(name):
        return folder + slash + found[1]
    numbered = _KERAS_NUMBERED.fullmatch(name)
    if numbered and numbered[1].rpartition("_")[0].lower() in sure:
        return folder + slash + numbered[1]
    if not _HINT.search(name.lower()):
        return None
    cuts = [at for at in range(1, len(name)) if name[at] in _SEPARATORS]
    bases = (name[:at] for at in cuts if _says(name[at:], sure) and re.search(r"\d", name[:at]))
    return next((folder + slash + base for base in bases), None)


def stem_of(path: str) -> str:
    """A path without its ending."""
    return _ENDING.sub("", path)


def name_of(path: str) -> str:
    """What comes behind all folders."""
    return path.rpartition("/")[2]
