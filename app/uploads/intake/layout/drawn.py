"""Pictures that were drawn on others and lie beside them: masks, by what they are called.

Whether they are some is told by their pixels (`crops.masks`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from functools import cached_property

from app.uploads.intake import images
from app.uploads.intake.layout.roles import FileInTree
from app.uploads.intake.names import folded
from app.uploads.intake.splits import read_name

_IMAGES = "images image imgs img jpegimages pictures photos"
PICTURES = frozenset(_IMAGES.split())
"""What folders of pictures are called where others hold what was drawn on them."""
_DRAWN = (
    "masks mask annotations annotation annot annots anno annos labels ground_truth groundtruth gt "
    "segmentation segmentations segmentationclass segmentationobject trimaps"
)
MASKS = frozenset(_DRAWN.split())
"""What folders of masks are called."""
_SAID = (
    "ground[ _-]?truth|masks?|segmentations?|segm?s?|gt|labels?|annotations?|annots?|annos?|"
    "trimaps?|superpixels|contours?|outlines?|mattes?|heat[ _-]?maps?|grad[ _-]?cam|overlays?"
)
_AFTER = re.compile(rf"(.+?)(?:[ _.-]+(?:{_SAID})){{1,3}}(?:[ _.-]*[0-9]+)?")
_BEFORE = re.compile(rf"(?:{_SAID})[ _.-]+(.+)")
_PLAIN = re.compile(r"(?:(?:image|img|picture|photo)[ _.-]+)?(.+?)(?:[ _.-]+(?:image|img))?")
"""`1`, `image_1` and `1_image`: beside any of them `1_mask` and `mask_1` are drawn on it."""


Masks = Callable[[Sequence[FileInTree]], frozenset[int]]
"""Which of the pictures that are called as masks are some, by their indices."""


def all_of(called: Sequence[FileInTree]) -> frozenset[int]:
    """All, where only names tell."""
    return frozenset(one.index for one in called)


def none_of(alike: Sequence[FileInTree]) -> frozenset[int]:
    """None, where no pixels are looked at."""
    del alike
    return frozenset()


def families(pictures: Iterable[FileInTree]) -> Mapping[str, Sequence[FileInTree]]:
    """The pictures of one name but for the ending, wherever they lie, where they are several."""
    found: dict[str, list[FileInTree]] = defaultdict(list)
    for one in pictures:
        found[_stem(one.parts)].append(one)
    return {stem: some for stem, some in found.items() if len(some) > 1}


def beside_each_other(pictures: Iterable[FileInTree]) -> list[Sequence[FileInTree]]:
    """The same of pictures in one folder, which differ in their ending."""
    found: dict[str, list[FileInTree]] = defaultdict(list)
    for one in pictures:
        found[one.path.rpartition("/")[0]].append(one)
    return [family for some in found.values() for family in families(some).values()]


def place_of(one: FileInTree) -> tuple[str, str]:
    """What masks of one set have in common: their folder, and their ending."""
    return one.path.rpartition("/")[0], images.extension(one.path)


def in_folder_of_masks(one: FileInTree) -> bool:
    """Whether a folder of a picture is called as folders of masks are."""
    return any(folded(part) in MASKS for part in one.parts[:-1])


class Drawn:
    """Of some pictures those that were drawn on others of their name, as `masks` tells, which is
    asked once it matters."""

    def __init__(self, pictures: Sequence[FileInTree] = (), masks: Masks = none_of) -> None:
        self._pictures = pictures
        self._masks = masks
        self.members: Sequence[FileInTree] = ()
        """Those that were found, if it has mattered."""

    def __contains__(self, path: str) -> bool:
        return path in self._paths

    @cached_property
    def _paths(self) -> frozenset[str]:
        found = self._masks(self._pictures)
        self.members = [one for one in self._pictures if one.index in found]
        return frozenset(one.path for one in self.members)

    def without(self, pictures: Sequence[FileInTree]) -> list[FileInTree]:
        """The pictures that are none of those that were found."""
        left = {one.index for one in self.members}
        return [one for one in pictures if one.index not in left]


def called_so(
    chosen: Sequence[FileInTree],
    known: Callable[[], Collection[str]] = tuple,
    above: str = "",
) -> list[FileInTree]:
    """The pictures that are called as masks of others: `x_mask.png` beside `x.png`,
    `cat/masks/x.png` beside `cat/x.png` or `cat/images/x.png`; also of those with `known` paths,
    which came before them, in whichever split. `above` are the folders around all of them, which
    may be called as those of masks are: `masks/cat/x.png`."""
    pictures = [one for one in chosen if one.role == "image"]
    below = any(folded(part) in MASKS for part in above.split("/"))
    here = {_place(one.parts) for one in pictures}
    found = {one.index for one in pictures if _is_drawn(one.parts, here)}
    rest = [one for one in pictures if one.index not in found]
    rest = [one for one in rest if below or _may_be_drawn(one.parts)]
    there = {_place(_classes(path.split("/"))) for path in known()} if rest else set()
    found |= {one.index for one in rest if _is_drawn(_classes(one.parts), there)}
    if below:
        found |= {one.index for one in rest if _place(_classes(one.parts)) in there}
    return [one for one in pictures if one.index in found]


def _is_drawn(parts: Sequence[str], known: Set[tuple[str, str]]) -> bool:
    folder, bases = _folder(parts[:-1]), _bases(parts)
    if any((folder, _plain(base)) in known for base in bases):
        return True
    *above, last = parts[:-1] or [""]
    if folded(last) not in MASKS or not above or read_name(above[-1]) is not None:
        return False
    places = [_folder(above), *(_folder([*above, name]) for name in PICTURES)]
    bases = [_stem(parts), *bases]
    return any((place, _plain(base)) in known for place in places for base in bases)


def _may_be_drawn(parts: Sequence[str]) -> bool:
    return bool(_bases(parts)) or folded(parts[-2] if parts[1:] else "") in MASKS


def _bases(parts: Sequence[str]) -> list[str]:
    """What a picture may be called that one of this name is drawn on."""
    stem = _stem(parts)
    return [found[1] for found in (_AFTER.fullmatch(stem), _BEFORE.fullmatch(stem)) if found]


def _classes(parts: Sequence[str]) -> Sequence[str]:
    """The path from its class on: without a split's folder on top, and without one in the class."""
    kept = parts[1:] if parts[2:] and read_name(parts[0]) is not None else parts
    return [kept[0], *kept[2:]] if kept[2:] and read_name(kept[1]) is not None else kept


def _place(parts: Sequence[str]) -> tuple[str, str]:
    return _folder(parts[:-1]), _plain(_stem(parts))


def _stem(parts: Sequence[str]) -> str:
    name = folded(parts[-1])
    return name.rpartition(".")[0] or name


def _plain(stem: str) -> str:
    found = _PLAIN.fullmatch(stem)
    return found[1] if found else stem


def _folder(parts: Sequence[str]) -> str:
    return "/".join(folded(part) for part in parts)
