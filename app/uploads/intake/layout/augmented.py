"""Copies that were augmented before the upload, told by the names that people and tools give them.

`cat.jpg` beside `cat_rot90.jpg`, `cat-aug-2.jpg`, `flipped_cat.jpg` and `cat - Copy.jpg`; Keras's
`<save_prefix>_<index>_<hash>.jpeg` and Augmentor's `<class>_original_<name>.jpg_<uuid>.jpg`.
`cat (2).jpg` is none: browsers and file managers number different pictures so.
What may as well say what a picture is of (`wheat_crop.jpg`, `sofa_gray.jpg`) counts where two
pictures at least have such a copy; months, and what would be most of a class, count nowhere.
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
_ANY_MONTH = _WORDS - {"aug"}
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
_HINT = re.compile("|".join(sorted(_WORDS)))
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


@dataclass(frozen=True, slots=True)
class Families:
    """The pictures that have copies by their names: of each file that belongs to one, by its place,
    what the picture is called. `example` is a copy's name and its original's."""

    of: Mapping[int, str]
    example: tuple[str, str]
    roots: Mapping[int, int]
    """By place, that of the picture itself, where it is there."""

    def held_out_apart(self, items: Sequence[LabelledFile]) -> int:
        """How many copies are held out where all are and all they would be copies of are trained
        on: a set of its own, such as one in other light, numbered from the start as the other is;
        copies that were made before a split lie on both sides. Else 0."""
        copies = {at for at in self.of if self.roots.get(at) != at}
        held_out = {at for at in self.of if items[at].split in ("val", "test")}
        return len(copies) if copies == held_out and copies <= self.roots.keys() else 0


@dataclass(frozen=True, slots=True)
class _Copy:
    """The place of the picture that one is a copy of, and how it is called beside that one; None
    where that says nothing else."""

    of: int
    form: str | None


def families(items: Sequence[LabelledFile], uploads: Sequence[str] = ()) -> Families | None:
    """Which files of one label are copies of which picture; None where none are. `uploads` says of
    each file what it came in: names are asked there first, as each upload may count from 0."""
    came = uploads or [""] * len(items)
    dated = _are_dated(items)
    by_label = list(_by_label(items))
    stems = [
        _Stems({at: (_stem(items[at].path), came[at]) for at in places}, dated)
        for places in by_label
    ]
    copies = _borne_out([one.copies() for one in stems])
    parents: dict[int, int] = {}
    named: dict[int, str] = {}
    for places, mine, some in zip(by_label, stems, copies, strict=True):
        kept = _bounded(some, len(places))
        parents |= kept
        named |= _orphans(mine, set(kept) | set(kept.values()), items[places[0]])
    roots = {at: _root(at, parents) for at in {*parents, *parents.values()}}
    of = {at: _stem(items[root].path) for at, root in roots.items()} | named
    if not of:
        return None
    at = min(parents or named)
    first = items[parents[at]].path if parents else named[at]
    return Families(of, (_name(items[at].path), _name(first)), roots)


def _are_dated(items: Sequence[LabelledFile]) -> bool:
    """Whether `aug` is a month in these names: other months are in others, or a year beside it."""
    names = [_name(item.path).lower() for item in items]
    august = [name for name in names if _OF_MONTHS.search(name)]
    return bool(august) and (
        any(map(_MONTH.search, names))
        or 2 * sum(map(bool, map(_DATED.search, august))) > len(august)
    )


def _borne_out(copies: Sequence[Mapping[int, _Copy]]) -> list[dict[int, int]]:
    """Of the copies by label those whose name says nothing else, or of which two pictures have
    one."""
    originals: dict[str, set[int]] = defaultdict(set)
    for some in copies:
        for one in some.values():
            if one.form is not None:
                originals[one.form].add(one.of)
    return [
        {at: one.of for at, one in some.items() if one.form is None or len(originals[one.form]) > 1}
        for some in copies
    ]


def _bounded(parents: dict[int, int], count: int) -> dict[int, int]:
    """The copies without those of a picture that would be more than half of its class, `count`
    files: unless all of them are some picture's, and of several."""
    sizes = Counter(_root(at, parents) for at in {*parents, *parents.values()})
    if len(sizes) > 1 and sum(sizes.values()) == count:
        return parents
    return {at: up for at, up in parents.items() if 2 * sizes[_root(at, parents)] <= count + 1}


class _Stems:
    """The paths without endings of the files of one label, and what they came in, by their
    places; where they are `dated`, `aug` is a month."""

    def __init__(self, found: Mapping[int, tuple[str, str]], dated: bool) -> None:
        self.of = {at: stem for at, (stem, _) in found.items()}
        self._uploads = {at: upload for at, (_, upload) in found.items()}
        self.words = _ANY_MONTH if dated else _WORDS
        self.sure = _SURE & _ANY_MONTH if dated else _SURE
        self._exact: dict[tuple[str, str], int] = {}
        self._bare: dict[tuple[str, str], list[int]] = defaultdict(list)
        for at, (stem, upload) in found.items():
            for among in {upload, ""}:
                self._exact.setdefault((among, folded(stem)), at)
                self._bare[among, folded(_name(stem))].append(at)

    def copies(self) -> dict[int, _Copy]:
        """What is a copy of another by its name, by place."""
        return {at: found for at in self.of if (found := self._copy(at)) is not None}

    def _copy(self, at: int) -> _Copy | None:
        """Of the picture in its folder, or of the only one of its name in another: of those that
        came with it, or else of all."""
        folder, slash, name = self.of[at].rpartition("/")
        made = list(_originals(name, self.words))
        for among in dict.fromkeys((self._uploads[at], "")):
            for stem, rest in made:
                found = self._exact.get((among, folded(folder + slash + stem)))
                alike = self._bare.get((among, folded(stem)), [])
                found = alike[0] if found is None and len(alike) == 1 else found
                if found is not None and found != at:
                    return _Copy(found, self._form(rest))
        return None

    def _form(self, rest: str) -> str | None:
        said = {token.lower() for token in _TOKEN.findall(rest)}
        plain = not rest or said & (self.sure | _DOUBLES)
        return None if plain else re.sub(r"\d+(?:\.\d+)?", "0", rest.lower())


def _originals(name: str, words: frozenset[str]) -> Iterator[tuple[str, str]]:
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
        one in words or one in _ANY_MONTH or one in _FURTHER for one in spelled
    )


def _orphans(stems: _Stems, known: set[int], like: LabelledFile) -> dict[int, str]:
    """Copies of one picture that is not there itself, by place. What would be more than half of
    its class is not: then it is the class that is called so."""
    if any(_says_some(label) for label in (like.label, *(like.labels or ()))):
        return {}
    rest = {at: stem for at, stem in stems.of.items() if at not in known}
    found = {at: base for at, stem in rest.items() if (base := _base(stem, stems.sure))}
    counts = Counter(found.values())
    return {at: base for at, base in found.items() if 1 < counts[base] <= len(stems.of) / 2}


def _says_some(label: str) -> bool:
    """Whether a label has a word that copies are told by."""
    return any(token.lower() in _WORDS for token in _TOKEN.findall(label))


def _base(stem: str, sure: frozenset[str]) -> str | None:
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
