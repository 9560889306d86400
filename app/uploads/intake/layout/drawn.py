"""Pictures that were drawn on others and lie beside them: masks, by what they are called.

Whether they are some is told by their pixels (`crops.masks`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from app.uploads.intake.layout.roles import FileInTree
from app.uploads.intake.names import folded
from app.uploads.intake.splits import read_name

_IMAGES = "images image imgs img jpegimages pictures photos"
PICTURES = frozenset(_IMAGES.split())
"""What folders of pictures are called where others hold what was drawn on them."""
_DRAWN = (
    "masks mask annotations labels ground_truth groundtruth gt segmentation segmentations "
    "segmentationclass segmentationobject trimaps"
)
MASKS = frozenset(_DRAWN.split())
"""What folders of masks are called."""
_SAID = (
    "ground[ _-]?truth|masks?|segmentations?|segm?|gt|labels?|annotations?|annot|trimaps?|"
    "superpixels|contours?"
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


def called_so(chosen: Sequence[FileInTree]) -> list[FileInTree]:
    """The pictures that are called as masks of others: `x_mask.png` beside `x.png`,
    `cat/masks/x.png` beside `cat/x.png` or `cat/images/x.png`."""
    known = {(_folder(one.parts[:-1]), _core(one)) for one in chosen if one.role == "image"}
    return [one for one in chosen if one.role == "image" and _is_drawn(one, known)]


def _is_drawn(one: FileInTree, known: set[tuple[str, str]]) -> bool:
    folder, stem = _folder(one.parts[:-1]), _stem(one)
    after, before = _AFTER.fullmatch(stem), _BEFORE.fullmatch(stem)
    bases = [found[1] for found in (after, before) if found]
    if any((folder, _plain(base)) in known for base in bases):
        return True
    *above, last = one.parts[:-1] or [""]
    if folded(last) not in MASKS or not above or read_name(above[-1]) is not None:
        return False
    places = [_folder(above), *(_folder([*above, name]) for name in PICTURES)]
    return any((place, _plain(base)) in known for place in places for base in (stem, *bases))


def _stem(one: FileInTree) -> str:
    name = folded(one.parts[-1])
    return name.rpartition(".")[0] or name


def _core(one: FileInTree) -> str:
    return _plain(_stem(one))


def _plain(stem: str) -> str:
    found = _PLAIN.fullmatch(stem)
    return found[1] if found else stem


def _folder(parts: Sequence[str]) -> str:
    return "/".join(folded(part) for part in parts)
