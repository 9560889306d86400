"""Whether pictures that are called as masks, or as others are but for the ending, are some by their
pixels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from app.core import image_header
from app.core.errors import HeadstartError
from app.uploads.intake import members
from app.uploads.intake.archive import Archive
from app.uploads.intake.crops.cutter import Cutter
from app.uploads.intake.layout import FileInTree, drawn
from app.uploads.intake.limits import IntakeOptions

EACH, MOST = 8, 512
"""Pictures of a folder that are looked at, and of an upload."""
FEWEST_COLOURS = (16, 16, 96)
"""Colours that a mask has at most, as `Cutter.look` counts: photographs have many more, and a
mask that was saved as JPEG has some along its edges."""
FLAT = 0.5
"""Share of what is not background, from which a picture has areas of one value each, as masks of
many instances have them; what a camera sees has hardly any."""
SHAPE = 0.02
"""By how much the sides' ratios of a mask and of its picture may differ."""
SMOOTH = 0.95
"""The same for what is grey and without a grain, as blurred masks and maps of distances are."""


@dataclass(frozen=True, slots=True)
class MaskLook:
    """Looks at some pictures of each folder."""

    opened: Archive
    cutter: Cutter
    options: IntakeOptions

    def __call__(self, called: Sequence[FileInTree]) -> frozenset[int]:
        """Those of the folders three quarters of whose pictures, as far as they are looked at, have
        a handful of colours, areas of one value each or no grain; none of a folder is looked at
        where there are very many of them, and then the others tell."""
        folders: dict[str, list[FileInTree]] = defaultdict(list)
        for one in called:
            folders[one.path.rpartition("/")[0]].append(one)
        each = max(1, min(EACH, MOST // max(1, len(folders))))
        looked = [self._looks(inside, each) for inside in list(folders.values())[:MOST]]
        rest = _most([look for looks in looked for look in looks])
        told = [*map(_most, looked), *[rest] * (len(folders) - len(looked))]
        both = zip(folders.values(), told, strict=True)
        return frozenset(one.index for inside, are in both if are for one in inside)

    def beside(self, pictures: Sequence[FileInTree]) -> frozenset[int]:
        """Those that were drawn on another in their folder which has their name but for the ending:
        `cat/1.png` beside `cat/1.jpg`."""
        return self._drawn(drawn.beside_each_other(pictures))

    def anywhere(self, pictures: Sequence[FileInTree]) -> frozenset[int]:
        """Those that were drawn on another of their name but for the ending, in any folder."""
        return self._drawn(drawn.families(pictures).values())

    def _drawn(self, families: Collection[Sequence[FileInTree]]) -> frozenset[int]:
        """Those of each family that are masks by their pixels, as another is not, or as none but
        they lie in a folder of masks; and that have the other's shape, as far as they are asked."""
        flat = self._flat([one for family in families for one in family])
        pairs: dict[tuple[str, str], list[tuple[FileInTree, FileInTree]]] = defaultdict(list)
        for family in families:
            for one, other in _pairs(family, flat):
                pairs[drawn.place_of(one)].append((one, other))
        sure = [some for some in pairs.values() if self._fit(some)]
        return frozenset(one.index for some in sure for one, _ in some)

    def _flat(self, pictures: Sequence[FileInTree]) -> frozenset[int]:
        by_ending: dict[str, list[FileInTree]] = defaultdict(list)
        for one in pictures:
            by_ending[drawn.place_of(one)[1]].append(one)
        return frozenset[int]().union(*map(self, by_ending.values()))

    def _fit(self, pairs: Sequence[tuple[FileInTree, FileInTree]]) -> bool:
        """Whether most masks have the shape of their picture, of those that are looked at."""
        some = pairs[:: max(1, len(pairs) // EACH)][:EACH]
        shapes = [(self._shape(one), self._shape(other)) for one, other in some]
        return _most([_is_one_shape(*both) for both in shapes])

    def _shape(self, one: FileInTree) -> float:
        """Width over height as it is stored; 0 where that cannot be told."""
        with suppress(HeadstartError):
            entry = self.opened.entries[one.index]
            held = members.content(self.opened, entry, "image", self.options)
            header = image_header.inspect(held.data)
            return header.width / header.height
        return 0.0

    def _looks(self, inside: Sequence[FileInTree], each: int) -> list[bool]:
        step = max(1, len(inside) // each)
        return [self._is_mask(one) for one in inside[::step][:each]]

    def _is_mask(self, one: FileInTree) -> bool:
        with suppress(HeadstartError):  # what is wrong with it is told where it is taken in
            entry = self.opened.entries[one.index]
            held = members.content(self.opened, entry, "image", self.options)
            look = self.cutter.look(held)
            if look is not None:
                both = zip(look["colours"], FEWEST_COLOURS, strict=True)
                few = all(count <= most for count, most in both)
                return few or look["flat"] >= FLAT or look["smooth"] >= SMOOTH
        return False


def _pairs(
    family: Sequence[FileInTree], flat: Collection[int]
) -> Iterator[tuple[FileInTree, FileInTree]]:
    """Those of a family that may be masks, each with what it may be drawn on: one that is not flat,
    or of a picture in a folder of masks one in another."""
    grainy = next((one for one in family if one.index not in flat), None)
    plain = next((one for one in family if not drawn.in_folder_of_masks(one)), None)
    for one in family if grainy or plain else ():
        other = grainy or (plain if drawn.in_folder_of_masks(one) else None)
        if one.index in flat and other is not None:
            yield one, other


def _is_one_shape(mine: float, other: float) -> bool:
    """Whether two ratios are one, or that of a picture that a camera has turned."""
    both = (mine, 1 / mine) if mine else ()
    return any(abs(one - other) < SHAPE * other for one in both)


def _most(looks: Sequence[bool]) -> bool:
    return 4 * sum(looks) >= 3 * len(looks) > 0
